import {randomUUID} from 'node:crypto'
import {mkdirSync, rmSync} from 'node:fs'
import {join} from 'node:path'
import {beforeEach, describe, expect, test} from 'vitest'
import {createRetention} from '../../../../src/lib/auth/index.js'
import {headerLine} from '../../../../src/lib/recording/format/asciicast.js'
import {parseTombstone, tombstoneFault} from '../../../../src/lib/recording/index.js'
import {publicKeyFromBlob} from '../../../../src/lib/sshcert/index.js'
import {chunkAfter, endOf} from '../../../support/chunks.js'
import {temporaryDirectory} from '../../../support/temporary-directory.js'
import {type Auth, failure, hour, openAuth, signUp, userCaller} from '../fixture.js'

let auth: Auth
let directory: string

beforeEach(async () => {
  directory = temporaryDirectory()
  auth = await openAuth({directory})
  for (const name of ['joe', 'ann']) await signUp(auth, name, {logins: [name]})
  await signUp(auth, 'audrey', {logins: ['audrey'], roles: ['auditor']})
  await auth.admin.createResources({
    resources: [
      {
        ...{kind: 'role', version: 'v1', metadata: {name: 'keeper'}},
        spec: {allow: {rules: [{resources: ['session'], verbs: ['delete']}]}},
      },
    ],
  })
  await signUp(auth, 'kim', {logins: ['kim'], roles: ['keeper']})
})

const proxy = () => auth.service.as({kind: 'system', role: 'proxy'})
const as = (name: string, role = 'access') => auth.service.as(userCaller(name, [role], [name]))

/** A session of joe that ended now, or that goes on. */
async function session(ended = true): Promise<{sid: string; head: string}> {
  const sid = randomUUID()
  const meta = {
    ...{sid, user: 'joe', cluster: 'acme.example', login: 'root', host: 'db1', address: '192.0.2.1:22'},
    ...{startedAt: auth.clock.now, interactive: true, width: 80, height: 24},
  }
  await proxy().beginRecording(meta)
  const header = chunkAfter(undefined, headerLine(meta))
  await proxy().appendRecording(sid, header)
  if (ended) await proxy().sealRecording(sid, endOf(meta, [header], 0))
  return {sid, head: header.digest}
}

const deletions = async () =>
  (await auth.events('session.recording.delete')).map(({success, user, cause}) => [success, user, cause])

describe('removing a recording', () => {
  test('is on record with what it was, before and after the fact the same', async () => {
    const {sid, head} = await session()
    const reason = 'asked for'
    expect(await auth.admin.removeRecording({sid, reason})).toMatchObject({sid, removedBy: 'admin', reason})
    expect(await auth.events('session.recording.delete')).toMatchObject([
      {
        ...{code: 'TSR03I', sid, user: 'admin', login: 'root', server_hostname: 'db1', owner: 'joe'},
        ...{reason, cause: 'request', chunks: 1, head},
      },
    ])
    const text = await auth.admin.getTombstone(sid)
    const keys = auth.authorities.recordingPublicKeys().map(publicKeyFromBlob)
    expect(tombstoneFault(text, keys, sid)).toBeUndefined()
    expect(parseTombstone(text)).toMatchObject({sid, end: {chunks: 1, head}})
  })

  test('is for those with the right to it: no preset role, not even of an auditor', async () => {
    const {sid} = await session()
    for (const [name, role] of [
      ['joe', 'access'],
      ['audrey', 'auditor'],
    ] as const) {
      for (const method of ['removeRecording', 'holdRecording', 'releaseRecording'] as const)
        expect([name, method, (await failure(as(name, role)[method]({sid}))).code]).toEqual([
          ...[name, method, 'access_denied'],
        ])
    }
    const refused = (await auth.events('auth')).map(({user, method}) => [user, method])
    expect(refused).toContainEqual(['audrey', 'removeRecording'])
    expect(await deletions()).toEqual([])
    expect((await failure(as('kim', 'keeper').holdRecording({sid}))).code).toBe('access_denied')
    await as('kim', 'keeper').removeRecording({sid})
    expect(await deletions()).toEqual([[true, 'kim', 'request']])
  })

  test('is refused while the session runs and while it is held; each try is on record', async () => {
    const [running, held] = [await session(false), await session()]
    await auth.admin.holdRecording({sid: held.sid, reason: 'case 7'})
    for (const [{sid}, code] of [
      [running, 'unavailable'],
      [held, 'access_denied'],
      [{sid: randomUUID()}, 'not_found'],
    ] as const) {
      expect((await failure(auth.admin.removeRecording({sid}))).code).toBe(code)
      expect((await auth.events('session.recording.delete'))[0]).toMatchObject({
        ...{code: 'TSR03E', success: false, sid, user: 'admin'},
      })
    }
    expect(await auth.admin.listRecordings({})).toHaveLength(2)
    await auth.admin.releaseRecording({sid: held.sid, reason: 'closed'})
    await auth.admin.removeRecording({sid: held.sid})
    expect((await auth.events()).map(({code}) => code).slice(0, 2)).toEqual(['TSR03I', 'TSR05I'])
    expect(await auth.events('session.recording.hold')).toMatchObject([{code: 'TSR04I', reason: 'case 7'}])
  })

  test.each(['two\nlines', 'x'.repeat(257), '\u001b[2J'])('takes no reason like %j', async reason => {
    const {sid} = await session()
    for (const method of ['removeRecording', 'holdRecording', 'releaseRecording'] as const)
      expect((await failure(auth.admin[method]({sid, reason}))).code).toBe('invalid_input')
    expect(await auth.admin.listRecordings({})).toMatchObject([{sid}])
  })

  test('is told to those who could have seen it, and to nobody else', async () => {
    const {sid} = await session()
    await auth.admin.removeRecording({sid})
    for (const api of [auth.admin, as('joe'), as('audrey', 'auditor')]) {
      expect((await failure(api.openRecording(sid))).message).toMatch(/was removed on 2030-01-02, by admin/)
      expect(await api.getTombstone(sid)).toContain(sid)
    }
    const never = randomUUID()
    for (const method of ['openRecording', 'getTombstone'] as const) {
      const [gone, missing] = [await failure(as('ann')[method](sid)), await failure(as('ann')[method](never))]
      expect([gone.code, gone.message.replace(sid, '')]).toEqual([
        ...[missing.code, missing.message.replace(never, '')],
      ])
    }
  })

  test('does not happen where it cannot be put on record', async () => {
    const {sid} = await session()
    const full = () => Promise.reject(new Error('no space left'))
    await expect(
      auth.recordings.remove(sid, {at: 0, by: 'admin', cause: 'request', announce: full}),
    ).rejects.toThrow()
    expect(await auth.admin.listRecordings({})).toMatchObject([{sid}])
  })
})

test('who is held is listed as such', async () => {
  const [held] = [await session(), await session()]
  await auth.admin.holdRecording({sid: held.sid})
  const hold = {at: auth.clock.now, by: 'admin'}
  expect(await as('joe').listRecordings({held: true})).toMatchObject([{sid: held.sid, hold}])
  expect(await as('ann').listRecordings({held: true})).toEqual([])
})

describe('retention', () => {
  const log = {info: () => {}, warn: () => {}}
  const retention = (keepMilliseconds: number, more: Partial<Parameters<typeof createRetention>[0]> = {}) =>
    createRetention({
      audit: {emit: input => proxy().emit(input), prune: async () => 0},
      ...{auditMilliseconds: 0, sign: auth.authorities.signAuditStatement},
      ...{recordings: auth.recordings, keepMilliseconds, now: () => auth.clock.now, log},
      ...more,
    })

  test('removes what is older, one event each, and leaves what is held', async () => {
    const [old, held] = [await session(), await session()]
    await auth.admin.holdRecording({sid: held.sid})
    auth.clock.now += 48 * hour
    const young = await session()
    const job = retention(24 * hour)
    await job.start()
    await job.close()
    const left = (await auth.admin.listRecordings({})).map(({sid}) => sid)
    expect(left.sort()).toEqual([held.sid, young.sid].sort())
    expect(await auth.events('session.recording.delete')).toMatchObject([
      {sid: old.sid, cause: 'retention', owner: 'joe', chunks: 1, head: old.head},
    ])
    expect((await failure(auth.admin.openRecording(old.sid))).message).toMatch(/older than the cluster keeps/)
  })

  test('never removes anything where none is configured', async () => {
    await session()
    auth.clock.now += 100_000 * hour
    const job = retention(0)
    await job.start()
    await job.close()
    expect(await auth.admin.listRecordings({})).toHaveLength(1)
  })

  test('says so where it cannot work, and goes on', async () => {
    const warned: string[] = []
    const job = retention(hour, {log: {...log, warn: (_, message) => warned.push(message)}})
    rmSync(join(directory, 'recordings'), {recursive: true})
    await job.start()
    expect(warned).toEqual(['what is older than is kept could not all be removed'])
    mkdirSync(join(directory, 'recordings'))
    await job.start()
    await job.close()
    expect(warned).toHaveLength(1)
  })
})
