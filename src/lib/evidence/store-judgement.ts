import {problem} from '../errors/index.js'
import {againstLog, type SessionVerdict, type StoreFinding, tombstoneAgainstLog} from '../recording/index.js'
import type {RecordedSession} from './recorded-sessions.js'

/** A recording that is not what the cluster recorded, or not where it should be. */
export interface BadRecording {
  sid: string
  /**
   * missing: deleted without a tombstone. unknown: the log has no such session. tombstone: it is not that of an orderly
   * removal. hold: a legal hold was taken away. returned: it was removed and is there. twice: it is there twice. changed:
   * anything else.
   */
  problem: 'missing' | 'unknown' | 'tombstone' | 'hold' | 'returned' | 'twice' | 'changed'
  /** The first bad chunk, where one can be named. */
  chunk?: number
  reason: string
}

export interface StoreVerdict {
  /** Whole, unbroken, signed, and (but for `unvouched`) the ones that the audit log names. */
  verified: number
  /** Of these, cut short: not all of their session. */
  truncated: number
  /** Of these, such whose length and head the log does not name. */
  unvouched: number
  /** Removed in order. */
  removed: number
  /** Without an end: the session runs or was cut short. */
  open: number
  held: number
  /** About to be removed in order: whoever began with it was cut off. */
  removing: number
  bad: BadRecording[]
}

export interface JudgeOptions {
  /** What the log said before the store was looked at. */
  records: ReadonlyMap<string, RecordedSession>
  /** Unix ms: about what happened after this the log may not have been read. */
  since: number
  /** Unix ms: what the log had from before this was pruned; 0 when nothing was. */
  prunedBefore: number
}

/** Holds what is in a store against what the audit log says should be. */
export async function judgeStore(
  findings: AsyncIterable<StoreFinding> | Iterable<StoreFinding>,
  options: JudgeOptions,
): Promise<StoreVerdict> {
  const verdict: StoreVerdict = {
    ...{verified: 0, truncated: 0, unvouched: 0, removed: 0, open: 0, held: 0, removing: 0, bad: []},
  }
  const seen = new Set<string>()
  for await (const finding of findings) {
    const {sid} = finding
    const record = options.records.get(sid)
    const bad = seen.has(sid)
      ? {problem: 'twice' as const, reason: 'it is in the store twice'}
      : finding.kind === 'recording'
        ? judgeRecording(finding, record, options, verdict)
        : judgeTombstone(finding, record, options, verdict)
    seen.add(sid)
    if (bad) verdict.bad.push({sid, ...bad})
  }
  for (const [sid, record] of options.records) {
    const gone = !seen.has(sid) && missing(record)
    if (gone) verdict.bad.push({sid, ...gone})
  }
  return verdict
}

/** `problem` is what is wrong where the store and the log, and not the recording alone, say that it is `bad`. */
export type JudgedSession = SessionVerdict & {problem?: BadRecording['problem']}

/**
 * The same of one session: `findings` are those of it alone. Throws `not_found` where neither the store nor the log knows of
 * a recording.
 */
export async function judgeSession(
  findings: AsyncIterable<StoreFinding>,
  sid: string,
  options: JudgeOptions,
): Promise<JudgedSession> {
  const record = options.records.get(sid)
  const found: StoreFinding[] = []
  for await (const finding of findings) found.push(finding)
  const records = new Map(record && [[sid, record]])
  const {bad} = await judgeStore(found, {...options, records})
  const vouched = record?.whole !== undefined
  const [fault] = bad
  if (fault) {
    const {sid: _, ...why} = fault
    return {result: 'bad', ...why, vouched}
  }
  const [first] = found
  if (first?.kind === 'recording') return {...first.verdict, vouched}
  if (first?.tombstone) return {result: 'removed', ...first.tombstone, vouched}
  throw problem('not_found', `there is no recording of session ${sid}`)
}

type Fault = Omit<BadRecording, 'sid'>

function judgeRecording(
  {verdict: own, meta, held, removing}: Extract<StoreFinding, {kind: 'recording'}>,
  record: RecordedSession | undefined,
  {since, prunedBefore}: JudgeOptions,
  count: StoreVerdict,
): Fault | undefined {
  if (held) count.held += 1
  const found = againstLog(own, record?.whole)
  if (found.result === 'bad') {
    const {chunk, reason} = found
    return {problem: 'changed', ...(chunk !== undefined && {chunk}), reason}
  }
  if (removing) count.removing += 1
  else if (record?.removed)
    return {problem: 'returned', reason: 'it was removed, as the audit log says, and is there'}
  if (record?.held && !held)
    return {problem: 'hold', reason: 'its legal hold was taken away, of which the audit log knows nothing'}
  const startedAt = meta?.startedAt ?? 0
  if (!record && startedAt < since && startedAt >= prunedBefore && found.result === 'verified')
    return {problem: 'unknown', reason: 'the audit log knows of no such session'}
  if (found.result === 'unsealed') {
    count.open += 1
    return undefined
  }
  count.verified += 1
  if (found.truncated !== undefined) count.truncated += 1
  if (!record?.whole) count.unvouched += 1
  return undefined
}

function judgeTombstone(
  {tombstone, fault}: Extract<StoreFinding, {kind: 'tombstone'}>,
  record: RecordedSession | undefined,
  {since, prunedBefore}: JudgeOptions,
  count: StoreVerdict,
): Fault | undefined {
  const wrong = (reason: string): Fault => ({problem: 'tombstone', reason})
  if (!tombstone) return wrong(fault ?? 'its tombstone cannot be read')
  const other = tombstoneAgainstLog(tombstone, record?.whole)
  if (other !== undefined) return wrong(other)
  const known = tombstone.removedAt >= since || tombstone.removedAt < prunedBefore
  if (!record?.removed && !known) return wrong('the audit log knows nothing of its removal')
  if (record?.held) return {problem: 'hold', reason: 'it was removed while it was under legal hold'}
  count.removed += 1
  return undefined
}

function missing(record: RecordedSession): Fault | undefined {
  const {recorded, uploaded, removed, whole} = record
  if (removed)
    return {problem: 'missing', reason: 'it was removed, as the audit log says, and its tombstone is missing'}
  if (!recorded && !uploaded) return undefined
  const had = whole ? `: it had ${whole.chunks} chunks` : ''
  return {problem: 'missing', reason: `it was deleted, and has no tombstone${had}`}
}
