import type {AuditEvent, AuditInput} from './event.js'
import {recordHash} from './files.js'
import type {ChainHead} from './head.js'
import {BATCH_BYTES, BATCH_RECORDS, RECORD_BYTES} from './limits.js'
import {buildRecord} from './record.js'
import {HEAD_MS, HEAD_RECORDS, signLine} from './signed-head.js'

/** An event that is to become a record. */
export interface Arrival {
  input: AuditInput
  uid: string
  /** When it happened and when it came, Unix ms. */
  time: number
  received: number
}

export interface Batch {
  /** Lines to be written at once, each with its line break. */
  text: string
  /** The records of the first arrivals, one each; further arrivals are for the next batch. */
  events: AuditEvent[]
  /** The last head that is signed in it. */
  signed: ChainHead | undefined
  /** What `commit` takes over. */
  end: ChainEnd
}

interface ChainEnd {
  head: ChainHead
  /** Sequence of the last record that signs a head; 0 where none does. */
  signedAt: number
  /** When the first record after it came, Unix ms. */
  unsignedSince: number | undefined
  nextIndex: ReadonlyMap<string, number>
}

export interface ChainOptions {
  clusterName: string
  /** The last records of the log, and its end. */
  records: readonly AuditEvent[]
  head: ChainHead
  uuid(): string
  /** Base64 of the signature over a message; without it no heads are signed. */
  sign: ((message: Buffer) => string) | undefined
}

export interface Chain {
  readonly head: ChainHead
  /** Whether there are records that no signed head stands behind, and one can be made. */
  readonly isUnsigned: boolean
  /** What the next write consists of; with `signAt` (Unix ms) a signed head comes first. Changes nothing. */
  build(arrivals: readonly Arrival[], signAt?: number): Batch
  /** The batch is durable. */
  commit(batch: Batch): void
}

/** Sessions whose event counter is remembered; the one longest without an event is forgotten first. */
const COUNTED_SESSIONS = 10_000

/** Builds records, each naming the hash of the one before. A batch that is never committed leaves no trace in what follows. */
export function createChain({clusterName, records, head, uuid, sign}: ChainOptions): Chain {
  const last = records.at(-1)
  const counters = new Map<string, number>()
  remember(counters, indexesAfter(records))
  let end: Omit<ChainEnd, 'nextIndex'> = {
    head,
    signedAt: last?.event === 'audit.signed' ? last.seq : 0,
    unsignedSince: undefined,
  }
  return {
    get head() {
      return end.head
    },
    get isUnsigned() {
      return sign !== undefined && end.head.sequence > end.signedAt
    },
    build(arrivals, signAt) {
      const draft = createDraft(end, {clusterName, uuid, sign, counters})
      if (signAt !== undefined) draft.sign(signAt)
      for (const arrival of arrivals) {
        if (!draft.hasRoom()) break
        draft.add(arrival)
      }
      return draft.batch()
    },
    commit({end: {nextIndex, ...next}}) {
      end = next
      remember(counters, nextIndex)
    },
  }
}

type DraftOptions = Pick<ChainOptions, 'clusterName' | 'uuid' | 'sign'> & {
  counters: ReadonlyMap<string, number>
}

/**
 * A batch while it is built. A signed head goes before the first record that comes when it is due, in the same write: it
 * costs no fsync of its own, and no clock that jumps leaves a gap.
 */
function createDraft(from: Omit<ChainEnd, 'nextIndex'>, {clusterName, uuid, sign, counters}: DraftOptions) {
  const end = {...from, nextIndex: new Map<string, number>()}
  const lines: string[] = []
  const events: AuditEvent[] = []
  let bytes = 0
  let signed: ChainHead | undefined

  const build = (arrival: Arrival, ei: number) => {
    const {sequence, hash} = end.head
    return buildRecord(arrival.input, {...arrival, seq: sequence + 1, prev: hash, ei, clusterName})
  }
  const push = (line: string): void => {
    end.head = {sequence: end.head.sequence + 1, hash: recordHash(line)}
    lines.push(`${line}\n`)
    bytes += Buffer.byteLength(line) + 1
  }
  const signHead = (at: number): void => {
    if (!sign || end.head.sequence === end.signedAt) return
    const {line} = build({input: {event: 'audit.signed'}, uid: uuid(), time: at, received: at}, 0)
    push(signLine(line, sign))
    signed = end.head
    Object.assign(end, {signedAt: signed.sequence, unsignedSince: undefined})
  }
  const isDue = (at: number): boolean =>
    end.head.sequence - end.signedAt >= HEAD_RECORDS || at - (end.unsignedSince ?? at) >= HEAD_MS

  return {
    sign: signHead,
    /** Whether the next record still goes into this write, and a signed head with it. */
    hasRoom: () => lines.length + 2 <= BATCH_RECORDS && bytes + 2 * (RECORD_BYTES + 1) <= BATCH_BYTES,
    add(arrival: Arrival): void {
      if (isDue(arrival.received)) signHead(arrival.received)
      const {sid} = arrival.input
      const ei = sid === undefined ? 0 : (end.nextIndex.get(sid) ?? counters.get(sid) ?? 0)
      if (sid !== undefined) end.nextIndex.set(sid, ei + 1)
      const {event, line} = build(arrival, ei)
      push(line)
      events.push(event)
      end.unsignedSince ??= arrival.received
    },
    batch: (): Batch => ({text: lines.join(''), events, signed, end}),
  }
}

const indexesAfter = (records: readonly AuditEvent[]): Map<string, number> =>
  new Map(records.flatMap(({sid, ei}): [string, number][] => (sid === undefined ? [] : [[sid, ei + 1]])))

function remember(counters: Map<string, number>, counted: ReadonlyMap<string, number>): void {
  for (const [sid, next] of counted) {
    counters.delete(sid)
    counters.set(sid, next)
  }
  for (const sid of counters.keys()) {
    if (counters.size <= COUNTED_SESSIONS) break
    counters.delete(sid)
  }
}
