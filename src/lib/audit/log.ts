import {randomUUID} from 'node:crypto'
import {ensurePrivateDirectory} from '../durable/index.js'
import {problem, type SallyportError} from '../errors/index.js'
import {createAppender} from './appender.js'
import {createChain} from './chain.js'
import type {AuditEvent, AuditInput, AuditQuery, AuditSink} from './event.js'
import {listLogFiles} from './files.js'
import type {ChainHead} from './head.js'
import {createOnce} from './once.js'
import {type PruneOptions, pruneLog} from './prune.js'
import {type AuditScan, queryFiles, scanFiles} from './query.js'
import {readRecentUids} from './recent-uids.js'
import {recoverTail} from './recovery.js'
import {createWriter} from './writer.js'

export interface AuditLogOptions {
  directory: string
  clusterName: string
  /** Unix ms. */
  now?: () => number
  uuid?: () => string
  /** Told of a line that a query has to leave out because it is no record. */
  onDamage?: (file: string, offset: number) => void
  /** Without it no heads are signed. */
  signing?: HeadSigning
}

/** By which the log signs its own end: when it is opened and closed, and in between as long as there is something new. */
export interface HeadSigning {
  /** Base64 of the signature over a message. */
  sign(message: Buffer): string
  /** The head that was signed last, from elsewhere than the log: what is opened must hold it, or says that it does not. */
  last?: ChainHead | undefined
  /** Told of each one that is durable. Must not throw. */
  onSigned?(head: ChainHead): void
  /** Told where one could not be written; it is tried again. */
  onProblem?(error: SallyportError): void
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

/** Opens the log, cutting off (and noting as an event) what a crash left of an unfinished write. */
export async function openAuditLog(options: AuditLogOptions): Promise<AuditLog> {
  const {directory, clusterName, now = Date.now, uuid = randomUUID, onDamage, signing} = options
  await ensurePrivateDirectory(directory)
  const {tail, notes} = await recoverTail(directory, signing?.last)
  const appender = createAppender(directory, tail.active)
  const chain = createChain({...tail, clusterName, uuid, sign: signing?.sign})
  const writer = createWriter({
    ...{appender, chain, now},
    onSigned: signing?.onSigned,
    onProblem: signing?.onProblem,
  })

  const enqueue = (input: AuditInput, uid: string): Promise<AuditEvent> => {
    const received = now()
    return writer.add({input, uid, received, time: Math.min(input.time ?? received, received)})
  }

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

  for (const note of notes) await emit(note)
  await writer.signHead()

  return {
    emit,
    head: () => ({...chain.head}),
    prune: options => pruneLog({...options, directory, clusterName, now, emit}),
    query,
    async *scan(scan) {
      yield* scanFiles(await listLogFiles(directory), scan)
    },
    async close() {
      await writer.close()
      await appender.close()
    },
  }
}

const isTime = (ms: number): boolean => ms >= 0 && ms <= 8.64e15
