import {randomUUID} from 'node:crypto'
import {join} from 'node:path'
import {ensurePrivateDirectory, systemErrorWords, writeFileAtomic} from '../durable/index.js'
import {problem, SallyportError} from '../errors/index.js'
import {createAppender} from './appender.js'
import type {AuditEvent, AuditInput, AuditQuery, AuditSink} from './event.js'
import {listLogFiles, recordHash} from './files.js'
import {createOnce} from './once.js'
import {type PruneOptions, pruneLog} from './prune.js'
import {type AuditScan, queryFiles, scanFiles} from './query.js'
import {readRecentUids} from './recent-uids.js'
import {buildRecord} from './record.js'
import {type ChainHead, recoverTail} from './tail.js'

export interface AuditLogOptions {
  directory: string
  clusterName: string
  /** Unix ms. */
  now?: () => number
  uuid?: () => string
  /** Told of a line that a query has to leave out because it is no record. */
  onDamage?: (file: string, offset: number) => void
}

/**
 * The audit log in a directory: JSON lines, each with the hash of the one before. Records that are emitted while
 * another is being written share one fsync.
 */
export interface AuditLog extends AuditSink {
  /** Newest first, unless asked for the other way round. */
  query(query: AuditQuery): Promise<AuditEvent[]>
  /** Records in their order, without those that are no records. */
  scan(scan: AuditScan): AsyncIterable<AuditEvent>
  /** Takes away files older than a time; see `pruneLog`. Gives how many. */
  prune(options: PruneOptions): Promise<number>
  /** The end of the chain: a checkpoint to keep elsewhere. */
  head(): ChainHead
  close(): Promise<void>
}

interface Waiting {
  input: AuditInput
  uid: string
  /** When it happened and when it came, Unix ms. */
  time: number
  received: number
  resolve: (event: AuditEvent) => void
  reject: (error: SallyportError) => void
}

/** Records in one write; a longer queue takes several. */
const BATCH = 256
/** Sessions whose event counter is remembered; the one longest without an event is forgotten first. */
const COUNTED_SESSIONS = 10_000

/** Opens the log, cutting off (and noting as an event) what a crash left of an unfinished record. */
export async function openAuditLog(options: AuditLogOptions): Promise<AuditLog> {
  const {directory, clusterName, now = Date.now, uuid = randomUUID, onDamage} = options
  await ensurePrivateDirectory(directory)
  const tail = await recoverTail(await listLogFiles(directory))
  const appender = createAppender(directory, tail.active)
  const counters = tail.nextIndex
  const queue: Waiting[] = []
  let head = tail.head
  let draining: Promise<void> | undefined
  let closed = false

  const build = (batch: Waiting[]) => {
    let {sequence, hash} = head
    const counted = new Map<string, number>()
    const records = batch.map(({input, uid, time, received}) => {
      const {sid} = input
      const ei = sid === undefined ? 0 : (counted.get(sid) ?? counters.get(sid) ?? 0)
      if (sid !== undefined) counted.set(sid, ei + 1)
      sequence += 1
      const facts = {seq: sequence, prev: hash, ei, uid, time, received, clusterName}
      const record = buildRecord(input, facts)
      hash = recordHash(record.line)
      return record
    })
    return {records, head: {sequence, hash}, counted}
  }

  // The chain is built here and not in `emit`: a batch that fails must leave no trace in what follows.
  const write = async (batch: Waiting[]): Promise<AuditEvent[]> => {
    const {records, head: next, counted} = build(batch)
    const text = records.map(({line}) => `${line}\n`).join('')
    const day = new Date(batch[0]?.received ?? now()).toISOString().slice(0, 10)
    await appender.append(text, head.sequence + 1, day)
    head = next
    remember(counters, counted)
    return records.map(({event}) => event)
  }

  const drain = async (): Promise<void> => {
    // A turn for the emits of the same tick to join.
    await Promise.resolve()
    while (queue.length > 0) {
      const batch = queue.splice(0, BATCH)
      try {
        const events = await write(batch)
        batch.forEach(({resolve}, i) => {
          resolve(events[i] as AuditEvent)
        })
      } catch (cause) {
        const error = writeFailure(cause)
        for (const {reject} of batch) reject(error)
      }
    }
    draining = undefined
  }

  const enqueue = (input: AuditInput, uid: string): Promise<AuditEvent> =>
    new Promise((resolve, reject) => {
      if (closed) return reject(problem('unavailable', 'the audit log is closed'))
      const received = now()
      const time = Math.min(input.time ?? received, received)
      queue.push({input, uid, time, received, resolve, reject})
      draining ??= drain()
    })

  const query = async (wanted: AuditQuery): Promise<AuditEvent[]> =>
    queryFiles(await listLogFiles(directory), wanted, appender.active, onDamage)

  const emitOnce = createOnce({
    enqueue,
    recent: async () => readRecentUids(await listLogFiles(directory), appender.active?.size),
    find: async seq => (await query({after: seq - 1, order: 'oldest', limit: 1}))[0],
  })

  const emit = async (input: AuditInput): Promise<AuditEvent> => {
    if (input.time !== undefined && !isTime(input.time))
      throw problem('invalid_input', 'the time of the event is none')
    return input.uid === undefined ? enqueue(input, uuid()) : emitOnce(input, input.uid)
  }

  if (tail.torn) {
    const kept = `torn-after-${head.sequence}.bin`
    await writeFileAtomic(join(directory, kept), tail.torn)
    const fields = {bytes: tail.torn.length, sha256: recordHash(tail.torn), kept}
    await emit({event: 'audit.recovered', fields})
  }

  return {
    emit,
    head: () => ({...head}),
    prune: options => pruneLog({...options, directory, clusterName, now, emit}),
    query,
    async *scan(scan) {
      yield* scanFiles(await listLogFiles(directory), scan)
    },
    async close() {
      closed = true
      await draining
      await appender.close()
    },
  }
}

const isTime = (ms: number): boolean => ms >= 0 && ms <= 8.64e15

function remember(counters: Map<string, number>, counted: Map<string, number>): void {
  for (const [sid, next] of counted) {
    counters.delete(sid)
    counters.set(sid, next)
  }
  for (const sid of counters.keys()) {
    if (counters.size <= COUNTED_SESSIONS) break
    counters.delete(sid)
  }
}

const writeFailure = (cause: unknown): SallyportError =>
  cause instanceof SallyportError
    ? cause
    : problem('store_failed', `the audit log cannot be written: ${systemErrorWords(cause)}`, {cause})
