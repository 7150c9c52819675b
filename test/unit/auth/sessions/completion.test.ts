import {generateKeyPairSync, randomUUID} from 'node:crypto'
import {readdirSync, readFileSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {afterEach, beforeEach, describe, expect, it, vi} from 'vitest'
import {
  type AuditEvent,
  type AuditInput,
  type AuditLog,
  openAuditLog,
} from '../../../../src/lib/audit/index.js'
import {createCompletion} from '../../../../src/lib/auth/sessions/completion.js'
import {createRetries} from '../../../../src/lib/durable/index.js'
import {problem} from '../../../../src/lib/errors/index.js'
import {
  createRecordingWriter,
  openRecordingStore,
  type RecordingMeta,
  type RecordingStore,
  signRecordingHead,
} from '../../../../src/lib/recording/index.js'
import {atEnd} from '../../../support/cleanup.js'
import {temporaryDirectory} from '../../../support/temporary-directory.js'

const {privateKey} = generateKeyPairSync('ed25519')
const reason = 'the service ended before the session did'
const begun = Date.parse('2025-11-21T12:00:00Z')

let directory: string
let clock: number
const held = new Set<string>()

beforeEach(() => {
  directory = temporaryDirectory()
  clock = begun
})

interface Process {
  audit: AuditLog
  recordings: RecordingStore
  logged: string[]
  complete(
    parts?: Partial<{audit: AuditLog; recordings: RecordingStore}>,
  ): ReturnType<typeof createCompletion>
}

/** A process on the directory. What it leaves when it is killed is what is on disk. */
async function boot(): Promise<Process> {
  const audit = await openAuditLog({directory: join(directory, 'audit'), clusterName: 'c1', now: () => clock})
  atEnd(() => audit.close())
  const recordings = await openRecordingStore({
    directory: join(directory, 'recordings'),
    now: () => clock,
    signHead: (sid, head) => signRecordingHead(privateKey, sid, head),
  })
  const logged: string[] = []
  const note = (fields: object, message: string) => void logged.push(`${message} ${JSON.stringify(fields)}`)
  return {
    ...{audit, recordings, logged},
    complete: parts =>
      createCompletion({
        ...{audit, recordings, ...parts, now: () => clock, log: {info: note, warn: note}},
        file: join(directory, 'sessions-completed.json'),
        isHeld: async sid => held.has(sid),
        retries: createRetries({firstMs: 1, longestMs: 1, onProblem: error => note({error}, 'retry')}),
      }),
  }
}

const meta = (changes: Partial<RecordingMeta> = {}): RecordingMeta => ({
  ...{sid: randomUUID(), cluster: 'c1', user: 'joe', login: 'root', host: 'web1', address: '10.0.0.7:22'},
  ...{startedAt: begun, interactive: false, width: 80, height: 24, command: 'make'},
  ...changes,
})

const startOf = ({sid, user, login, host, address, command}: RecordingMeta, recorded = true): AuditInput => ({
  ...{event: 'session.start', sid, user, login, server_hostname: host, server_addr: address},
  ...{forwarded_by: 'proxy-1', 'addr.remote': '192.0.2.1:9'},
  fields: {interactive: false, initial_command: command, recorded},
})

/** How far a session had come when its process was killed. */
type Stage = 'header' | 'started' | 'output' | 'sealed' | 'uploaded' | 'ended' | 'unrecorded' | 'failed'
const stages: Stage[] = ['header', 'started', 'output', 'sealed', 'uploaded', 'ended', 'unrecorded', 'failed']

async function session({audit, recordings}: Process, stage: Stage): Promise<string> {
  const facts = meta()
  const {sid} = facts
  if (stage === 'unrecorded') {
    await audit.emit(startOf(facts, false))
    return sid
  }
  const writer = createRecordingWriter({meta: facts, sink: recordings})
  await writer.started()
  if (stage === 'header') return sid
  await audit.emit(startOf(facts))
  if (stage === 'started') return sid
  writer.output(Buffer.from('hello'))
  await writer.flush()
  if (stage === 'output') return sid
  if (stage === 'failed') {
    await audit.emit({event: 'session.end', sid, fields: {recorded: false}})
    return sid
  }
  await writer.end()
  if (stage === 'sealed') return sid
  await audit.emit({event: 'session.upload', sid})
  if (stage === 'uploaded') return sid
  await audit.emit({event: 'session.end', sid, fields: {recorded: true}})
  return sid
}

const trail = (): AuditEvent[] =>
  readdirSync(join(directory, 'audit'))
    .sort()
    .flatMap(name =>
      readFileSync(join(directory, 'audit', name), 'utf8')
        .trim()
        .split('\n'),
    )
    .filter(line => line !== '')
    .map(line => JSON.parse(line))
const count = (sid: string, event: string): number =>
  trail().filter(record => record.sid === sid && record.event === event).length

describe('after the service was killed', () => {
  it('sessions that another machine holds are left to it, until it does not hold them any more', async () => {
    const killed = await boot()
    const sids = await Promise.all(stages.map(stage => session(killed, stage)))
    for (const sid of sids) held.add(sid)
    const before = trail().length
    const restarted = await boot()
    const completion = restarted.complete()
    await completion.start()
    expect(trail()).toHaveLength(before)
    await completion.close()
    held.clear()
    const later = (await boot()).complete()
    await later.start()
    for (const sid of sids) expect(count(sid, 'session.end')).toBe(1)
    await later.close()
  })

  it('files that were open have an event, before the end of their session, once', async () => {
    const killed = await boot()
    const sid = await session(killed, 'unrecorded')
    const noted = (transfer: number) =>
      killed.audit.emit({
        ...{event: 'session.transfer.open', sid, user: 'joe', login: 'root'},
        fields: {protocol: 'sftp', direction: 'upload', path: `/${transfer}`, transfer},
      })
    await noted(1)
    await noted(2)
    await killed.audit.emit({event: 'sftp.write', sid, fields: {path: '/1', transfer: 1}})
    // Sessions that do nothing else have neither start nor end.
    const [other, closed] = [randomUUID(), randomUUID()]
    const moved = {protocol: 'scp', direction: 'download', path: '/x', transfer: 1}
    for (const one of [other, closed])
      await killed.audit.emit({event: 'session.transfer.open', sid: one, fields: moved})
    await killed.audit.emit({event: 'scp.download', sid: closed, fields: moved})
    for (let restart = 0; restart < 2; restart++) {
      const completion = (await boot()).complete()
      await completion.start()
      await completion.close()
    }
    const alone = trail().filter(record => record.sid === other)
    expect(alone.map(({event}) => event)).toEqual(['session.transfer.open', 'scp.download'])
    expect(alone[1]).toMatchObject({success: false, path: '/x', complete: false})
    expect(trail().filter(record => record.sid === closed)).toHaveLength(2)
    const lost = trail().filter(record => record.sid === sid && !record.success)
    expect(lost).toMatchObject([
      {event: 'sftp.write', user: 'joe', login: 'root', path: '/2', transfer: 2, complete: false},
    ])
    expect(lost[0]?.error).toBe(`${reason}: what became of the file is not known`)
    expect(trail().findLast(record => record.sid === sid)?.event).toBe('session.end')
  })

  it('those who had joined are among the participants of the end', async () => {
    const killed = await boot()
    const sid = await session(killed, 'output')
    const user = trail().find(record => record.sid === sid)?.user
    for (const joined of ['ann', 'ann', 'bob'])
      await killed.audit.emit({event: 'session.join', sid, user: joined})
    await killed.audit.emit({event: 'session.join', sid, user: 'eve', success: false})
    await killed.audit.emit({event: 'session.leave', sid, user: 'bob'})
    const completion = (await boot()).complete()
    await completion.start()
    const end = trail().find(record => record.sid === sid && record.event === 'session.end')
    expect(end?.participants).toEqual([user, 'ann', 'bob'])
    await completion.close()
  })

  it('every session gets what it lacks, and nothing twice', async () => {
    const killed = await boot()
    const sids = new Map<Stage, string>()
    for (const stage of stages) sids.set(stage, await session(killed, stage))
    for (let restart = 0; restart < 3; restart++) {
      const process = await boot()
      await process.complete().start()
      for (const [stage, sid] of sids) {
        const recorded = stage !== 'unrecorded'
        expect([stage, count(sid, 'session.end')]).toEqual([stage, 1])
        expect([stage, count(sid, 'session.upload')]).toEqual([stage, recorded ? 1 : 0])
        if (recorded) expect((await process.recordings.readIndex(sid)).seal).toBeDefined()
      }
    }
    const endOf = (stage: Stage) =>
      trail().find(({sid, event}) => sid === sids.get(stage) && event === 'session.end')
    expect(endOf('output')).toMatchObject({
      ...{user: 'joe', login: 'root', server_hostname: 'web1', server_addr: '10.0.0.7:22'},
      ...{
        forwarded_by: 'proxy-1',
        'addr.remote': '192.0.2.1:9',
        participants: ['joe'],
        initial_command: 'make',
      },
      ...{session_start: '2025-11-21T12:00:00.000Z', recorded: true, truncated: true, reason},
    })
    expect(endOf('header')).toMatchObject({user: 'joe', truncated: true, interactive: false})
    expect(endOf('header')?.reason).toContain('before its start was on record')
    expect(endOf('unrecorded')).toMatchObject({user: 'joe', recorded: false, truncated: true})
    expect(endOf('sealed')).toMatchObject({recorded: true, reason})
    expect(endOf('sealed')).not.toHaveProperty('truncated')
  })

  it('it does not matter where the completion is killed itself', async () => {
    for (let steps = 0; ; steps++) {
      directory = temporaryDirectory()
      const killed = await boot()
      const sids = await Promise.all(stages.map(stage => session(killed, stage)))
      let left = steps
      let died = () => {}
      const death = new Promise<'died'>(resolve => {
        died = () => resolve('died')
      })
      /** Lets so many steps happen; the one after that happens, but nobody lives to hear of it. */
      const mortal =
        <Arguments extends unknown[], Result>(step: (...given: Arguments) => Promise<Result>) =>
        async (...given: Arguments): Promise<Result> => {
          const result = await step(...given)
          if (left-- > 0) return result
          died()
          return new Promise<Result>(() => {})
        }
      const dying = await boot()
      const completion = dying.complete({
        audit: {...dying.audit, emit: mortal(dying.audit.emit)},
        recordings: {...dying.recordings, complete: mortal(dying.recordings.complete)},
      })
      const outcome = await Promise.race([completion.start(), death])
      await (await boot()).complete().start()
      for (const [i, sid] of sids.entries()) {
        expect([steps, stages[i], count(sid, 'session.end')]).toEqual([steps, stages[i], 1])
        const uploads = stages[i] === 'unrecorded' ? 0 : 1
        expect([steps, stages[i], count(sid, 'session.upload')]).toEqual([steps, stages[i], uploads])
      }
      if (outcome !== 'died') break
    }
  })

  it('a damaged recording is reported once, keeps nobody waiting, and is not tried again', async () => {
    const killed = await boot()
    const broken = await session(killed, 'output')
    const garbled = await session(killed, 'header')
    const sound = await session(killed, 'output')
    const path = (sid: string, kind: string) => join(directory, 'recordings', '2025-11-21', `${sid}.${kind}`)
    const data = readFileSync(path(broken, 'cast.gz'))
    data.writeUInt8(data.readUInt8(30) ^ 1, 30)
    writeFileSync(path(broken, 'cast.gz'), data)
    writeFileSync(path(garbled, 'index.jsonl'), 'garbage\n')
    let attempts = 0
    for (let restart = 0; restart < 3; restart++) {
      const process = await boot()
      const complete = (sid: string, why: string) => {
        if (sid !== sound) attempts++
        return process.recordings.complete(sid, why)
      }
      await process.complete({recordings: {...process.recordings, complete}}).start()
      // Only the first pass may forget, so that the mark is what counts.
      writeFileSync(join(directory, 'sessions-completed.json'), '{"since":0}')
    }
    expect(attempts).toBe(2)
    for (const sid of [broken, garbled]) {
      expect(count(sid, 'session.recording.damaged')).toBe(1)
      expect(count(sid, 'session.upload')).toBe(0)
      expect(count(sid, 'session.end')).toBe(1)
    }
    expect(count(sound, 'session.end')).toBe(1)
    expect(readFileSync(path(broken, 'cast.gz'))).toEqual(data)
    const [report] = trail().filter(({event}) => event === 'session.recording.damaged')
    expect(report).toMatchObject({
      code: 'TSR01W',
      success: false,
      error: expect.stringMatching(/damaged|index/),
    })
  })

  it('sessions of the process that completes are left alone', async () => {
    const killed = await boot()
    const old = await session(killed, 'output')
    const process = await boot()
    const completion = process.complete()
    const running = await session({...process, audit: {...process.audit, emit: completion.emit}}, 'output')
    await completion.start()
    expect(count(old, 'session.end')).toBe(1)
    expect(count(running, 'session.end')).toBe(0)
    await completion.close()
    // The next process begins to look where the running session began.
    clock += 5 * 86_400_000
    await (await boot()).complete().start()
    expect(count(running, 'session.end')).toBe(1)
  })

  it('a stop in the middle of one waits until it is whole', async () => {
    const left = await session(await boot(), 'output')
    const process = await boot()
    let stop: () => void = () => undefined
    const stopped = new Promise<void>(resolve => {
      stop = () => resolve(completion.close())
    })
    const completion = process.complete({
      audit: {
        ...process.audit,
        emit(input) {
          stop()
          return process.audit.emit(input)
        },
      },
    })
    void completion.start()
    await stopped
    expect(count(left, 'session.upload')).toBe(1)
    expect(count(left, 'session.end')).toBe(1)
  })

  it('only what may be open is looked at', async () => {
    await session(await boot(), 'ended')
    const first = (await boot()).complete()
    await first.start()
    clock += 10 * 86_400_000
    await first.close()
    const process = await boot()
    await session(process, 'ended')
    const seen: string[] = []
    const later = (await boot()).complete({
      audit: {
        ...process.audit,
        async *scan(scan) {
          for await (const event of process.audit.scan(scan)) {
            seen.push(event.event)
            yield event
          }
        },
      },
    })
    await later.start()
    expect(seen).toEqual(['session.start', 'session.upload', 'session.end'])
  })
})

describe('while the disk is full', () => {
  const full = () =>
    problem('store_failed', 'no space left', {cause: Object.assign(new Error('full'), {code: 'ENOSPC'})})

  it('the end of a session is put on record later, exactly once, though its emitter was refused', async () => {
    const process = await boot()
    let refusals = 4
    const audit: AuditLog = {
      ...process.audit,
      emit: input => (refusals-- > 0 ? Promise.reject(full()) : process.audit.emit(input)),
    }
    const completion = process.complete({audit})
    const sid = randomUUID()
    await expect(completion.emit({event: 'session.end', sid})).rejects.toMatchObject({code: 'store_failed'})
    await expect(completion.emit({event: 'session.start', sid})).rejects.toMatchObject({code: 'store_failed'})
    await expect.poll(() => count(sid, 'session.end')).toBe(1)
    await completion.close()
    expect(trail().map(({event}) => event)).toEqual(['session.end'])
  })

  it('a recording that failed is sealed as truncated when there is room', async () => {
    const left = await session(await boot(), 'output')
    const process = await boot()
    let refusals = 3
    const complete = (sid: string, why: string) =>
      refusals-- > 0 ? Promise.reject(full()) : process.recordings.complete(sid, why)
    const completion = process.complete({recordings: {...process.recordings, complete}})
    completion.recordingFailed(left)
    await expect.poll(() => count(left, 'session.upload')).toBe(1)
    expect((await process.recordings.readIndex(left)).seal?.truncated).toBe(
      'the recording could no longer be written',
    )
    expect(count(left, 'session.end')).toBe(0)
    expect(count(left, 'session.recording.damaged')).toBe(0)
    await completion.close()
  })
})

describe('retries', () => {
  afterEach(() => void vi.useRealTimers())

  it('do not let one that always fails hold up another, and stop when closed', async () => {
    vi.useFakeTimers()
    const problems: unknown[] = []
    const retries = createRetries({firstMs: 1000, longestMs: 1000, onProblem: error => problems.push(error)})
    let attempts = 0
    void retries.add(() => {
      attempts++
      return Promise.reject(new Error('never'))
    })
    let failures = 2
    let done = false
    void retries
      .add(async () => {
        if (failures-- > 0) throw new Error('not yet')
      })
      .then(() => {
        done = true
      })
    await vi.advanceTimersByTimeAsync(10_000)
    expect(done).toBe(true)
    expect(attempts).toBeGreaterThan(5)
    await retries.close()
    const then = attempts
    await vi.advanceTimersByTimeAsync(3_600_000)
    expect(attempts).toBe(then)
    expect(problems).toHaveLength(2)
  })
})
