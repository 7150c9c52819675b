import {randomUUID} from 'node:crypto'
import {existsSync, readdirSync, readFileSync, rmSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {beforeEach, describe, expect, it} from 'vitest'
import {
  createRecordingWriter,
  openRecordingStore,
  parseTombstone,
  type RecordingStore,
  signRecordingHead,
  type Tombstone,
  tombstoneFault,
} from '../../../../src/lib/recording/index.js'
import {temporaryDirectory} from '../../../support/temporary-directory.js'
import {keys, meta, record} from '../support.js'

const now = Date.parse('2025-11-21T12:00:00Z')
const words = 'a needle in it'
let directory: string
let store: RecordingStore

const open = (): Promise<RecordingStore> =>
  openRecordingStore({
    directory,
    now: () => now,
    signHead: (sid, head) => signRecordingHead(keys.privateKey, sid, head),
    indexWhenSealed: true,
  })

beforeEach(async () => {
  directory = join(temporaryDirectory(), 'recordings')
  store = await open()
})

const day = () => join(directory, '2025-11-21')
const filesOf = (sid: string) =>
  readdirSync(day())
    .filter(name => name.startsWith(sid))
    .sort()
const kept = (sid = '') => readFileSync(join(day(), `${sid}.removed.jsonl`), 'utf8')
const recorded = (text = words, changes: Partial<ReturnType<typeof meta>> = {}) =>
  record(store, writer => void writer.output(Buffer.from(`${text}\r\n`)), changes)
const code = (step: Promise<unknown>) =>
  step.then(
    () => 'done',
    error => error.code,
  )
const remove = (sid: string, announce: (tombstone: Tombstone) => Promise<unknown> = async () => {}) =>
  store.remove(sid, {at: now + 5, by: 'admin', cause: 'request', reason: 'asked for', announce})

/** These are on record, and there is nothing to take back. */
const unexpected = (...given: unknown[]): never => {
  throw new Error(`not expected: ${given}`)
}
const finish = () => store.finishRemovals({announce: unexpected, cancel: unexpected, onProblem: unexpected})

describe('removing a recording', () => {
  it('leaves a signed tombstone that says who, when, why and what, and nothing else', async () => {
    const sid = await recorded()
    const other = await recorded('something else')
    await store.indexed()
    await store.list()
    const {seal, meta: facts} = await store.readIndex(sid)
    const {bytes = 0} = (await store.list({})).find(one => one.sid === sid) ?? {}
    const tombstone = await remove(sid)
    expect(filesOf(sid)).toEqual([`${sid}.removed.jsonl`])
    expect(parseTombstone(kept(sid))).toEqual(tombstone)
    const {cluster, user, login, host, address, startedAt, interactive} = facts
    expect(tombstone).toEqual({
      ...{sid, removedAt: now + 5, removedBy: 'admin', cause: 'request', reason: 'asked for', bytes},
      recording: {cluster, user, login, host, address, startedAt, interactive},
      end: seal,
    })
    expect(tombstoneFault(kept(sid), [keys.publicKey], sid)).toBeUndefined()
    expect(tombstoneFault(kept(sid), [], sid)).toMatch(/not signed/)
    expect(tombstoneFault(kept(sid), [keys.publicKey], other)).toMatch(/that of session/)
    expect(tombstoneFault(kept(sid).replace('asked', 'ASKED'), [keys.publicKey], sid)).toMatch(/not signed/)
    for (const derived of ['catalogue.jsonl', 'search.bin'])
      expect(readFileSync(join(day(), derived), 'latin1')).not.toContain(sid)
    expect(readFileSync(join(day(), 'search.bin'), 'latin1')).toContain(other)
    expect((await store.list()).map(one => one.sid)).toEqual([other])
    expect(await code(store.open(sid))).toBe('not_found')
    expect((await store.tombstone(sid))?.text).toBe(kept(sid))
    expect((await store.search({text: 'needle', regex: false, ignoreCase: false})).hits).toEqual([])
    const again = await store.search({text: 'something', regex: false, ignoreCase: false})
    expect(again.hits.map(hit => hit.recording.sid)).toEqual([other])
  })

  it('is announced before anything goes, and does not happen when that fails', async () => {
    const sid = await recorded()
    await store.indexed()
    const before = filesOf(sid)
    const refused = remove(sid, async () => {
      expect(filesOf(sid)).toEqual([...before, `${sid}.removing.jsonl`].sort())
      throw new Error('the log is full')
    })
    await expect(refused).rejects.toThrow()
    expect(filesOf(sid)).toEqual(before)
    expect((await store.list()).map(one => one.sid)).toEqual([sid])
  })

  it('is refused while the session runs, before its end is known, and twice', async () => {
    const running = meta()
    const writer = createRecordingWriter({meta: running, sink: store})
    await writer.started()
    expect(await code(remove(running.sid))).toBe('unavailable')
    store = await open()
    expect(await code(remove(running.sid))).toBe('unavailable')
    await store.complete(running.sid, 'killed')
    expect(await code(remove(running.sid))).toBe('done')
    expect(await code(remove(running.sid))).toBe('not_found')
    expect(await code(remove(randomUUID()))).toBe('not_found')
    expect(await code(remove('../../etc'))).toBe('invalid_input')
  })

  it('takes damaged ones, too, and says what it can', async () => {
    const sid = await recorded()
    writeFileSync(join(day(), `${sid}.index.jsonl`), 'nonsense\n')
    const tombstone = await remove(sid)
    expect(tombstone).toMatchObject({sid, cause: 'request'})
    expect(tombstone.recording ?? tombstone.end).toBeUndefined()
    expect(filesOf(sid)).toEqual([`${sid}.removed.jsonl`])
  })

  it('keeps its session from being recorded again', async () => {
    const facts = meta()
    await recorded(words, facts)
    await remove(facts.sid)
    expect(await code(store.begin(facts))).toBe('already_exists')
    store = await open()
    expect(await code(store.begin(facts))).toBe('already_exists')
  })

  it('leaves nothing that a reading of the screen under way brings back', async () => {
    const sid = await recorded()
    // The screen is being read by a process of its own now.
    await remove(sid)
    await store.indexed()
    expect(filesOf(sid)).toEqual([`${sid}.removed.jsonl`])
    expect(readFileSync(join(day(), 'search.bin'), 'latin1')).not.toContain(sid)
  })

  it('is finished by the next start, wherever it was cut off', async () => {
    const cut: [string, string[]][] = [
      ['the tombstone', []],
      ['the data', ['cast.gz']],
      ['the screen', ['cast.gz', 'screen.gz']],
    ]
    for (const [last, gone] of cut) {
      const sid = await recorded()
      const other = await recorded('stays')
      await store.indexed()
      await store.list()
      const names = filesOf(sid)
      const contents = new Map(names.map(name => [name, readFileSync(join(day(), name))]))
      const derived = ['catalogue.jsonl', 'search.bin'].filter(name => existsSync(join(day(), name)))
      const before = new Map(derived.map(name => [name, readFileSync(join(day(), name))]))
      await remove(sid)
      await store.close()
      for (const [name, bytes] of [...contents, ...before]) writeFileSync(join(day(), name), bytes)
      for (const ending of gone) rmSync(join(day(), `${sid}.${ending}`))
      store = await open()
      expect([last, (await store.list()).some(one => one.sid === sid)]).toEqual([last, false])
      expect([last, await code(store.open(sid))]).toEqual([last, 'not_found'])
      expect([last, await finish()]).toEqual([last, 1])
      expect([last, filesOf(sid)]).toEqual([last, [`${sid}.removed.jsonl`]])
      expect([last, readFileSync(join(day(), 'search.bin'), 'latin1').includes(sid)]).toEqual([last, false])
      expect([last, readFileSync(join(day(), 'search.bin'), 'latin1').includes(other)]).toEqual([last, true])
      expect([last, await finish()]).toEqual([last, 0])
    }
  })
})

describe('a legal hold', () => {
  it('is shown, found, kept over a restart, and keeps the recording', async () => {
    const [sid, free] = [await recorded(), await recorded()]
    const hold = {at: now, by: 'audrey', reason: 'case 7'}
    expect(await store.hold(sid, hold)).toMatchObject({sid, hold})
    store = await open()
    expect(await code(remove(sid))).toBe('access_denied')
    expect((await store.list({held: true})).map(one => [one.sid, one.hold])).toEqual([[sid, hold]])
    expect((await store.list()).find(one => one.sid === free)?.hold).toBeUndefined()
    expect((await store.open(sid)).summary.hold).toEqual(hold)
    expect(await code(store.release(free, async () => {}))).toBe('not_found')
    await store.hold(free, hold)
    const [first, second] = (await store.list({held: true})).map(one => one.sid)
    await store.release(first ?? '', async () => {})
    // Released between two pages, it is still where the next one begins.
    expect((await store.list({held: true, after: first ?? ''})).map(one => one.sid)).toEqual([second])
    await store.release(second ?? '', async () => {})
    expect(await store.list({held: true})).toEqual([])
    expect(await code(remove(sid))).toBe('done')
  })

  it('may be on a session that runs, and stays when a release cannot be put on record', async () => {
    const running = meta()
    await createRecordingWriter({meta: running, sink: store}).started()
    expect(await store.hold(running.sid, {at: now, by: 'audrey'})).toMatchObject({state: 'live'})
    const refused = store.release(running.sid, async () => {
      throw new Error('the log is full')
    })
    await expect(refused).rejects.toThrow()
    expect(await store.list({held: true})).toHaveLength(1)
    expect(await code(store.hold(randomUUID(), {at: now, by: 'audrey'}))).toBe('not_found')
  })

  it('holds although its file was damaged', async () => {
    const sid = await recorded()
    writeFileSync(join(day(), `${sid}.hold.json`), '{')
    expect(await code(remove(sid))).toBe('access_denied')
  })
})

describe('pruning', () => {
  const DAY = 86_400_000
  const prune = async (before: number, most = 100, goOn = () => true) => {
    const announced: string[] = []
    const problems: unknown[] = []
    const count = await store.prune({
      ...{before, most, goOn},
      onProblem: (sid, error) => problems.push([sid, error]),
      request: {
        ...{at: now, by: 'retention', cause: 'retention'},
        announce: async ({sid}) => void announced.push(sid),
      },
    })
    return {count, announced, problems}
  }
  /** Recordings that began so many days ago, in the directory of that day. */
  const aged = async (days: number, changes: Partial<ReturnType<typeof meta>> = {}) => {
    const clock = now - days * DAY
    const past = await openRecordingStore({
      ...{directory, now: () => clock},
      signHead: (sid, head) => signRecordingHead(keys.privateKey, sid, head),
    })
    const sid = await record(
      past,
      (writer, wait) => {
        writer.output(Buffer.from('old\r\n'))
        wait(1000)
      },
      {startedAt: clock, ...changes},
    )
    return sid
  }
  const sids = async () => (await store.list({limit: 1000})).map(one => one.sid)

  it('removes what ended before a time, and that alone, oldest first', async () => {
    const [young, old, older] = [await aged(1), await aged(10), await aged(20)]
    const edge = await aged(5)
    // Begun before, ended at the very moment: it is not older yet.
    expect((await prune(now - 5 * DAY + 1000)).announced).toEqual([older, old])
    expect((await sids()).sort()).toEqual([young, edge].sort())
    expect((await prune(now - 5 * DAY + 1001)).announced).toEqual([edge])
    expect(parseTombstone((await store.tombstone(edge))?.text ?? '')).toMatchObject({
      ...{cause: 'retention', removedBy: 'retention'},
    })
    expect((await prune(now - 5 * DAY + 1001)).count).toBe(0)
  })

  it('passes over what is held, what has no end, and what was removed already', async () => {
    const [held, gone, old] = [await aged(10), await aged(10), await aged(10)]
    const running = meta({startedAt: now - 10 * DAY})
    const past = await openRecordingStore({directory, now: () => now - 10 * DAY, signHead: () => ''})
    await createRecordingWriter({meta: running, sink: past}).started()
    await store.hold(held, {at: now, by: 'audrey'})
    await remove(gone)
    expect(await prune(now)).toEqual({count: 1, announced: [old], problems: []})
    expect((await sids()).sort()).toEqual([held, running.sid].sort())
  })

  it('is bounded, and can be stopped', async () => {
    for (const days of [10, 10, 11, 12]) await aged(days)
    expect((await prune(now, 3)).count).toBe(3)
    expect((await prune(now, 3, () => false)).count).toBe(0)
    expect((await prune(now, 3)).count).toBe(1)
  })

  it('ends when a removal cannot be put on record', async () => {
    for (const days of [10, 11]) await aged(days)
    let asked = 0
    const problems: string[] = []
    const count = await store.prune({
      ...{before: now, most: 9, goOn: () => true, onProblem: sid => problems.push(sid)},
      request: {
        ...{at: now, by: 'retention', cause: 'retention'},
        announce: async () => {
          asked += 1
          throw Object.assign(new Error('ENOSPC'), {code: 'ENOSPC'})
        },
      },
    })
    expect([count, asked, problems.length, (await sids()).length]).toEqual([0, 1, 1, 2])
  })
})
