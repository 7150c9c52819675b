import {randomUUID} from 'node:crypto'
import {beforeAll, describe, expect, test} from 'vitest'
import type {AuthApi} from '../../../../src/lib/auth/index.js'
import {eventLine, headerLine} from '../../../../src/lib/recording/format/asciicast.js'
import {chunkAfter, endOf, linkTo} from '../../../support/chunks.js'
import {type Auth, failure, openAuth, signUp, userCaller} from '../fixture.js'

const recordings = new Map<string, string>()
let auth: Auth

/** A session that goes on, or one that ended with these words on its screen. */
async function record(user: string, words?: string): Promise<string> {
  const proxy = auth.service.as({kind: 'system', role: 'proxy'})
  const sid = randomUUID()
  const meta = {
    ...{sid, user, cluster: 'acme.example', login: 'root', host: 'db1', address: '192.0.2.1:22'},
    ...{startedAt: auth.clock.now, interactive: true, width: 80, height: 24},
  }
  const header = chunkAfter(undefined, headerLine(meta))
  await proxy.beginRecording(meta)
  await proxy.appendRecording(sid, header)
  if (words === undefined) return sid
  const output = chunkAfter(header, linkTo(header, 0) + eventLine(0, 'o', words))
  await proxy.appendRecording(sid, output)
  await proxy.sealRecording(sid, endOf(meta, [header, output], 0))
  return sid
}

beforeAll(async () => {
  auth = await openAuth()
  for (const name of ['joe', 'ann']) {
    await signUp(auth, name, {logins: [name]})
    recordings.set(name, await record(name))
  }
  await signUp(auth, 'audrey', {logins: ['audrey'], roles: ['auditor']})
})

const joe = () => auth.service.as(userCaller('joe'))
const auditor = () => auth.service.as(userCaller('audrey', ['auditor'], ['audrey']))
const sidOf = (name: string): string => recordings.get(name) ?? ''

describe('recordings', () => {
  test('of others are not listed for a user, whatever is asked', async () => {
    expect((await joe().listRecordings({})).map(({user}) => user)).toEqual(['joe'])
    expect(await joe().listRecordings({user: 'ann'})).toEqual([])
    expect(await joe().listRecordings({user: 'JOE'})).toEqual([])
  })

  test('are all listed for auditors and administrators', async () => {
    for (const api of [auditor(), auth.admin])
      expect((await api.listRecordings({})).map(({user}) => user).sort()).toEqual(['ann', 'joe'])
  })

  test('of others are no place to go on from', async () => {
    const after = sidOf('ann')
    const denied = await failure(joe().listRecordings({after}))
    const missing = await failure(joe().listRecordings({after: after.replace(/^./, '0')}))
    expect([denied.code, missing.code]).toEqual(['not_found', 'not_found'])
    expect(denied.message.replace(after, '')).toBe(missing.message.replace(after.replace(/^./, '0'), ''))
    expect(await joe().listRecordings({after: sidOf('joe')})).toEqual([])
  })

  test('are found by login and time', async () => {
    const at = auth.clock.now
    const users = async (query: object) =>
      (await auth.admin.listRecordings(query)).map(({user}) => user).sort()
    expect(await users({login: 'root', from: new Date(at), to: new Date(at + 1)})).toEqual(['ann', 'joe'])
    expect(await users({login: 'app'})).toEqual([])
    expect(await users({to: new Date(at)})).toEqual([])
    expect(await users({from: new Date(at + 1)})).toEqual([])
  })

  test('are searched by those who may read them, and each look is on record', async () => {
    const ended = await record('joe', 'needle here')
    const others = await record('ann', 'needle there')
    await auth.recordings.indexed()
    const search = async (api: AuthApi, query: object = {}) =>
      await api.searchRecordings({text: 'needle', ...query})
    await search(auth.admin)
    await auth.recordings.indexed()
    for (const [api, user, sids] of [
      [joe(), 'joe', [ended]],
      [auditor(), 'audrey', [ended, others]],
      [auth.admin, 'admin', [ended, others]],
    ] as const) {
      const before = (await auth.events()).length
      const {hits} = await search(api)
      expect(hits.map(({recording}) => recording.sid).sort()).toEqual([...sids].sort())
      const events = (await auth.events()).slice(0, -before)
      expect(events.map(({event, sid}) => [event, sid]).reverse()).toEqual([
        ['session.recording.search', undefined],
        ...hits.map(({recording}) => ['session.recording.access', recording.sid]),
      ])
      expect(events.at(-1)).toMatchObject({code: 'TSR02I', user, text: 'needle'})
      expect(events[0]).toMatchObject({code: 'T2012I', user, search: 'needle'})
    }
  })

  test('of others are not even counted for a user who searches', async () => {
    // One that still runs, of each: who may not see it may not learn that it is there.
    expect(await joe().searchRecordings({text: 'nothing like it'})).toEqual({
      ...{hits: [], more: false, cut: [], waiting: 1, partly: 0},
    })
    expect((await auth.admin.searchRecordings({text: 'nothing like it'})).waiting).toBe(2)
    const denied = await joe().searchRecordings({text: 'needle', user: 'ann'})
    expect(denied).toEqual({hits: [], more: false, cut: [], waiting: 0, partly: 0})
    expect((await auth.events())[0]).toMatchObject({event: 'session.recording.search', user: 'joe'})
  })

  test('of others are no place for a user to go on from', async () => {
    const others = await record('ann', 'needle there')
    await record('joe', 'needle here')
    await auth.recordings.indexed()
    await auth.admin.searchRecordings({text: 'needle'})
    await auth.recordings.indexed()
    const unknown = '00000000-0000-4000-8000-000000000000'
    const [seen, unseen] = [others, unknown].map(async after => {
      const error = await failure(joe().searchRecordings({text: 'needle', after}))
      return error.message.replace(after, 'ID')
    })
    expect(await seen).toBe(await unseen)
    const empty = {hits: [], more: false, cut: [], waiting: 0, partly: 0}
    expect(await joe().searchRecordings({text: 'needle', sid: others})).toEqual(empty)
    expect((await auth.admin.searchRecordings({text: 'needle', sid: others})).hits).toHaveLength(1)
  })

  test('open for their user, auditors and administrators, and each look is on record', async () => {
    for (const [api, user] of [
      [joe(), 'joe'],
      [auditor(), 'audrey'],
      [auth.admin, 'admin'],
    ] as const) {
      const {summary, data} = await api.openRecording(sidOf('joe'))
      const chunks: Uint8Array[] = []
      for await (const chunk of data) chunks.push(chunk)
      expect(summary).toMatchObject({user: 'joe', host: 'db1'})
      expect(Buffer.concat(chunks).length).toBe(summary.bytes)
      expect((await auth.events())[0]).toMatchObject({
        ...{event: 'session.recording.access', code: 'T2012I', sid: sidOf('joe'), user},
      })
    }
  })

  test('of others do not open for a user; the attempt is on record', async () => {
    const denied = await failure(joe().openRecording(sidOf('ann')))
    expect((await auth.events())[0]).toMatchObject({
      ...{event: 'session.recording.access', code: 'T2012W', user: 'joe', sid: sidOf('ann')},
    })
    const missing = await failure(joe().openRecording(randomUUID()))
    expect([denied.code, missing.code]).toEqual(['not_found', 'not_found'])
  })

  test.each(['../x', '%2e%2e', '', `${'a'.repeat(36)}`])('do not open by %j', async sid => {
    expect((await failure(auth.admin.openRecording(sid))).code).toMatch(/invalid_input|not_found/)
  })
})

describe('events', () => {
  test('of others are not listed for a user', async () => {
    const users = new Set((await joe().listEvents({limit: 1000})).map(({user}) => user))
    expect([...users]).toEqual(['joe'])
    expect(await joe().listEvents({user: 'ann'})).toEqual([])
  })

  test('are all listed for auditors', async () => {
    const users = new Set((await auditor().listEvents({limit: 1000})).map(({user}) => user))
    expect(users).toContain('ann')
  })
})
