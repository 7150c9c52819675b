import {randomUUID} from 'node:crypto'
import {gzipSync} from 'node:zlib'
import {beforeAll, describe, expect, test} from 'vitest'
import {chainDigest, GENESIS} from '../../../src/lib/recording/chain.js'
import {type Auth, failure, openAuth, signUp, userCaller} from './fixture.js'

const recordings = new Map<string, string>()
let auth: Auth

async function record(user: string): Promise<string> {
  const proxy = auth.service.as({kind: 'system', role: 'proxy'})
  const sid = randomUUID()
  await proxy.beginRecording({
    ...{sid, user, cluster: 'acme.example', login: 'root', host: 'db1', address: '192.0.2.1:22'},
    ...{startedAt: auth.clock.now, interactive: true, width: 80, height: 24},
  })
  const data = gzipSync('{"version":2}\n')
  const digest = chainDigest(GENESIS, data)
  await proxy.appendRecording(sid, {sequence: 0, firstMs: 0, lastMs: 0, data, digest})
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
