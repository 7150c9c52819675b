import type {Tombstone} from './tombstone.js'
import type {RecordingVerdict} from './verify.js'

/** What the audit log says of a recording as it was when it was whole: a chain in another place. */
export interface Vouched {
  chunks: number
  /** Hex digest of the last chunk. */
  head: string
}

/**
 * What is to be said of the recording of one session. `removed`: it is gone in order, as its signed tombstone says.
 * `vouched`: the audit log says how long it was; otherwise its own signature alone speaks for it.
 */
export type SessionVerdict = (RecordingVerdict | ({result: 'removed'} & Tombstone)) & {vouched: boolean}

/** Chunks and head among the fields of an event; undefined where it says nothing of them. */
export function vouchedBy(fields: {[field: string]: unknown}): Vouched | undefined {
  const {chunks, head} = fields
  return typeof chunks === 'number' && typeof head === 'string' ? {chunks, head} : undefined
}

/**
 * The verdict on a recording, held against what the audit log says: one that verifies by itself may still be an earlier
 * state of it, or another one that was put in its place.
 */
export function againstLog(verdict: RecordingVerdict, vouched: Vouched | undefined): RecordingVerdict {
  if (verdict.result === 'bad' || !vouched) return verdict
  const {chunks, head} = vouched
  if (verdict.chunks < chunks)
    return {
      result: 'bad',
      chunk: verdict.chunks,
      reason: `it is missing: the recording was rolled back, the audit log names ${chunks} chunks`,
    }
  if (verdict.chunks > chunks)
    return {result: 'bad', chunk: chunks, reason: `it was added, the audit log names ${chunks} chunks`}
  if (verdict.head !== head)
    return {result: 'bad', reason: 'it is not the recording that the audit log names'}
  if (verdict.result === 'unsealed')
    return {result: 'bad', reason: 'its seal was taken away: the audit log names its end'}
  return verdict
}

/** The reason why a tombstone is not that of the recording which the audit log names; undefined when it is. */
export function tombstoneAgainstLog({end}: Tombstone, vouched: Vouched | undefined): string | undefined {
  if (!vouched) return undefined
  return end?.chunks === vouched.chunks && end.head === vouched.head
    ? undefined
    : 'its tombstone is of another recording than the audit log names'
}
