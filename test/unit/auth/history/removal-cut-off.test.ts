import {randomUUID} from 'node:crypto'
import {cpSync, existsSync, readdirSync} from 'node:fs'
import {join} from 'node:path'
import {beforeAll, describe, expect, test, vi} from 'vitest'
import type {FailingDisk} from '../../../support/failing-disk.js'

const disk = vi.hoisted<FailingDisk>(() => ({before: () => undefined}))
vi.mock('node:fs/promises', async original => {
  const {failingFileSystem} = await import('../../../support/failing-disk.js')
  return failingFileSystem(await original<object>(), disk)
})

import type {AuthContext} from '../../../../src/lib/auth/context.js'
import {keepMethods} from '../../../../src/lib/auth/history/keep.js'
import {createRetention} from '../../../../src/lib/auth/history/retention.js'
import {verifySession} from '../../../../src/lib/client/history/verify-session.js'
import {verifyStoreFiles} from '../../../../src/lib/evidence/store-verification.js'
import {openRecordingStore, signRecordingHead} from '../../../../src/lib/recording/index.js'
import {began, type Evidence, makeEvidence, openEvidenceLog} from '../../../support/evidence.js'
import {temporaryDirectory} from '../../../support/temporary-directory.js'

const sids = Array.from({length: 6}, () => randomUUID())
const [old = '', other = '', third = '', , , held = ''] = sids
const day = 86_400_000
let evidence: Evidence
/** A store whose recordings can be searched, so that all is there that has to go. */
let original: string

const openStore = (directory: string) =>
  openRecordingStore({
    ...{directory: join(directory, 'recordings'), now: () => began},
    signHead: (sid, head) => signRecordingHead(evidence.keys.privateKey, sid, head),
  })

beforeAll(async () => {
  evidence = await makeEvidence(sids)
  original = evidence.directory
  const store = await openStore(original)
  await store.search({text: 'part', regex: false, ignoreCase: false})
  await store.indexed()
  await store.list()
  await store.close()
})

/** The parts of the service that remove recordings, on a directory that an earlier process left. */
async function start(directory: string) {
  const [audit, store] = [await openEvidenceLog(directory), await openStore(directory)]
  const warned: string[] = []
  const context = {audit, recordings: store, emit: audit.emit, now: () => began + 9 * day}
  const retention = (keepMilliseconds: number) =>
    createRetention({
      ...{audit, recordings: store, keepMilliseconds, auditMilliseconds: 0, sign: () => ''},
      now: () => began + 9 * day,
      log: {info: () => {}, warn: ({error}: {error?: string}) => warned.push(error ?? '')},
    })
  const sweep = async (keepMilliseconds = 0) => {
    const job = retention(keepMilliseconds)
    await job.start()
    await job.close()
  }
  return {
    ...{audit, store, warned, sweep},
    admin: keepMethods(context as unknown as AuthContext, {kind: 'admin'}, []),
    deletions: async (sid: string) =>
      (await audit.query({sid, event: ['session.recording.delete']})).map(({success}) => success),
    verified: async (sid: string) => {
      const api = {
        openRecording: store.open,
        getTombstone: async () => (await store.tombstone(sid))?.text ?? '',
        listEvents: audit.query,
      }
      return (await verifySession(api as never, sid, [evidence.keys.publicKey])).result
    },
    async close() {
      await audit.close()
      await store.close()
    },
  }
}

type Service = Awaited<ReturnType<typeof start>>

const verifyAll = (directory: string) =>
  verifyStoreFiles({
    ...{directory, keys: [evidence.keys.publicKey], checkSignature: false, now: began + 10 * day},
  })

const copy = (): string => {
  const directory = join(temporaryDirectory(), 'copy')
  cpSync(original, directory, {recursive: true})
  return directory
}

const filesOf = (directory: string, sid: string): string[] =>
  readdirSync(join(directory, 'recordings', '2025-11-21'))
    .filter(name => name.startsWith(sid))
    .map(name => name.slice(sid.length + 1))
    .sort()

/** Lets so many steps happen, and no other ever. Resolves with the step that did not, or undefined when there was none. */
async function cutOff(steps: number, run: () => Promise<unknown>): Promise<string | undefined> {
  let left = steps
  const cut = new Promise<string>(resolve => {
    disk.before = (kind, path) => {
      if (left-- > 0) return undefined
      resolve(`${kind} ${path.replace(/.*\//, '')}`)
      return new Promise(() => {})
    }
  })
  const at = await Promise.race([cut, run().then(() => undefined)])
  disk.before = () => undefined
  return at
}

const code = (step: Promise<unknown>): Promise<string> =>
  step.then(
    () => 'done',
    error => error.code,
  )

/** All is in order: the recording is gone, with one event, or there, with none, and can be held and removed. */
async function requireOrder(service: Service, directory: string, sid: string, at: string): Promise<boolean> {
  const removed = existsSync(join(directory, 'recordings', '2025-11-21', `${sid}.removed.jsonl`))
  expect([at, await service.deletions(sid)]).toEqual([at, removed ? [true] : []])
  expect([at, await service.verified(sid)]).toEqual([at, removed ? 'removed' : 'verified'])
  if (removed) {
    expect([at, filesOf(directory, sid)]).toEqual([at, ['removed.jsonl']])
    expect([at, await code(service.admin.holdRecording({sid}))]).toEqual([at, 'not_found'])
    return true
  }
  expect([at, await code(service.admin.holdRecording({sid}))]).toEqual([at, 'done'])
  expect([at, await code(service.admin.removeRecording({sid}))]).toEqual([at, 'access_denied'])
  expect([at, await code(service.admin.releaseRecording({sid}))]).toEqual([at, 'done'])
  expect([at, await code(service.admin.removeRecording({sid}))]).toEqual([at, 'done'])
  expect([at, await service.verified(sid)]).toEqual([at, 'removed'])
  return false
}

describe.each([
  ['that somebody asked for', [old], (service: Service) => service.admin.removeRecording({sid: old})],
  ['by age', [old, other, third], (service: Service) => service.sweep(day)],
])('a removal %s', (_, removed, remove) => {
  test('is whole after the next start, wherever a crash cut it off', async () => {
    const outcomes = {announced: 0, removed: 0, kept: 0}
    for (let steps = 0; ; steps += 1) {
      const directory = copy()
      const killed = await start(directory)
      const at = await cutOff(steps, () => remove(killed))
      const service = await start(directory)
      const [announced] = await service.deletions(old)
      if (announced && filesOf(directory, old).includes('removing.jsonl')) outcomes.announced += 1
      expect([at, (await verifyAll(directory)).bad]).toEqual([at, []])
      await service.sweep()
      expect([at, await verifyAll(directory)]).toMatchObject([at, {bad: [], removing: 0, held: 1}])
      for (const sid of removed) {
        const gone = await requireOrder(service, directory, sid, at ?? 'whole')
        outcomes[gone ? 'removed' : 'kept'] += 1
      }
      expect([at, filesOf(directory, held)]).toContainEqual(expect.arrayContaining(['hold.json', 'cast.gz']))
      expect([at, (await verifyAll(directory)).bad]).toEqual([at, []])
      expect(service.warned).toEqual([])
      await service.close()
      if (at === undefined) break
      expect(steps).toBeLessThan(200)
    }
    // It was cut off at every kind of place.
    expect(Math.min(...Object.values(outcomes))).toBeGreaterThan(0)
  })
})

const full = () => Object.assign(new Error('no space left'), {code: 'ENOSPC', errno: -28})
/** The disk refuses the steps on paths like this. */
const refuse = (kind: string, path: RegExp): void => {
  disk.before = async (step, on) => {
    if (step === kind && path.test(on)) throw full()
  }
}

describe('a removal that the disk refuses', () => {
  test('before it is on record does not take place, and says why, whatever else is refused', async () => {
    const directory = copy()
    const service = await start(directory)
    refuse('writeFile', /removing/)
    const refused = {code: 'store_failed', message: expect.stringContaining('no space left on device')}
    await expect(service.admin.removeRecording({sid: old})).rejects.toMatchObject(refused)
    expect(await service.deletions(old)).toEqual([false])
    await service.sweep(day)
    await service.sweep(day)
    // No event for what did not happen, however often it is tried.
    expect([await service.deletions(old), await service.deletions(other)]).toEqual([[false], []])
    expect(service.warned).toHaveLength(2)
    disk.before = async () => {
      throw full()
    }
    await expect(service.admin.removeRecording({sid: old})).rejects.toMatchObject({
      message: 'the recording store failed: no space left on device',
    })
    disk.before = () => undefined
    expect((await verifyAll(directory)).bad).toEqual([])
    expect(await requireOrder(await start(directory), directory, other, '')).toBe(false)
    await service.close()
  })

  test('where the log does not take it leaves nothing of it', async () => {
    const directory = copy()
    const service = await start(directory)
    refuse('datasync', /events-/)
    expect(await code(service.admin.removeRecording({sid: old}))).toBe('store_failed')
    disk.before = () => undefined
    expect(filesOf(directory, old)).toEqual(expect.arrayContaining(['cast.gz', 'index.jsonl']))
    expect(filesOf(directory, old)).not.toContain('removing.jsonl')
    await service.sweep()
    expect(await service.verified(old)).toBe('verified')
    await service.close()
  })

  test.each([
    ['rename', /removing/],
    ['rm', /cast\.gz$/],
    ['rename', /catalogue/],
    ['rm', /index\.jsonl$/],
  ])('once it is on record is finished later: %s of %s', async (kind, path) => {
    const directory = copy()
    const service = await start(directory)
    refuse(kind, path)
    await expect(service.admin.removeRecording({sid: old})).rejects.toMatchObject({
      message: expect.stringContaining('is on record, but not finished: no space left on device'),
    })
    await service.sweep()
    expect(service.warned).toHaveLength(1)
    expect((await verifyAll(directory)).bad).toEqual([])
    const hold = await code(service.admin.holdRecording({sid: old}))
    expect(hold).toBe(path.test('removing') ? 'unavailable' : 'not_found')
    disk.before = () => undefined
    await service.sweep()
    expect(await requireOrder(service, directory, old, '')).toBe(true)
    await service.close()
  })

  test('and that is held by the time it is finished is taken back', async () => {
    const directory = copy()
    const service = await start(directory)
    refuse('rename', /removing/)
    expect(await code(service.admin.removeRecording({sid: old}))).toBe('store_failed')
    disk.before = () => undefined
    const path = (sid: string) => join(directory, 'recordings', '2025-11-21', `${sid}.hold.json`)
    cpSync(path(held), path(old))
    await service.sweep()
    await service.sweep()
    expect(await service.deletions(old)).toEqual([false, true])
    expect(await service.verified(old)).toBe('verified')
    expect((await verifyAll(directory)).bad).toEqual([])
    await service.close()
  })
})
