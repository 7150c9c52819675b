import type {KeyObject} from 'node:crypto'
import {asProblem} from '../errors/index.js'
import {readAnchor, verifyAnchor} from './anchor.js'
import type {AuditEvent} from './event.js'
import {listLogFiles, readLines, recordHash} from './files.js'
import {type ChainHead, follows, genesis} from './head.js'
import {createHeadCheck, type SignedHeads} from './head-check.js'
import {prunedFiles} from './prune.js'
import {parseRecord} from './record.js'

export type AuditVerdict =
  | {
      ok: true
      /** Records that are there. */
      records: number
      head: ChainHead
      /** `pruned`: the record that it names is no longer there. */
      checkpoint: 'none' | 'found' | 'pruned'
      /** What was pruned in order from the beginning, up to this record. */
      pruned?: ChainHead & {time: string; signature: 'verified' | 'unchecked'}
      signed: SignedHeads
      /**
       * Records up to this one are those that were written: a signed head that was verified or the checkpoint says so. 0:
       * nobody does, and whoever can write the files may have made any of them, or all.
       */
      vouched: number
    }
  | {ok: false; bad: BadRecord}

/** The first record that is not what it should be. */
export interface BadRecord {
  /** Its place in the chain, counting from 1. */
  record: number
  /** Where it is, or should be; absent where the log ends before it. */
  file?: string
  line?: number
  reason: string
}

/**
 * Follows the chain from the first record to the last. It alone shows what was changed by somebody who did not hash again
 * what follows. Up to where a checkpoint (a head noted earlier and kept elsewhere) or a signed head stands behind the log,
 * nothing else can have been done either; behind that, anything can.
 * @param keys of the recording authority: that the log was pruned must be signed by one of them, and so must its heads
 * @param headKeys for the signed heads alone
 */
export async function verifyAuditLog(
  directory: string,
  checkpoint?: ChainHead,
  keys?: readonly KeyObject[],
  headKeys = keys,
): Promise<AuditVerdict> {
  const beginning = await findBeginning(directory, keys)
  if ('reason' in beginning) return {ok: false, bad: beginning}
  const {anchor, pruned} = beginning
  const heads = createHeadCheck(headKeys)
  let head: ChainHead = anchor
  let previous: Place | undefined
  const wasPruned = checkpoint !== undefined && checkpoint.sequence < anchor.sequence
  let met = checkpoint === undefined || wasPruned || isSame(head, checkpoint)
  const places = readPlaces(directory, anchor)
  for await (const place of places) {
    const {record} = place
    const found = fault(place, head)
    if (!record || found) return {ok: false, bad: {...where(place, head.sequence + 1), reason: found ?? ''}}
    if (!follows(record, head)) {
      const isTrusted = [checkpoint?.sequence, heads.vouched].includes(head.sequence)
      return {ok: false, bad: await blame(isTrusted ? undefined : previous, place, head, places)}
    }
    const wrong = heads.follow(record, place.bytes)
    if (wrong) return {ok: false, bad: {...where(place, record.seq), reason: wrong}}
    if (record.event === 'audit.altered') return {ok: false, bad: alteredBefore(record)}
    head = {sequence: record.seq, hash: recordHash(place.bytes)}
    previous = place
    if (checkpoint?.sequence !== head.sequence) continue
    if (!isSame(head, checkpoint)) {
      const reason = 'it is not the record that the checkpoint names: the log was rewritten'
      return {ok: false, bad: {...where(place, head.sequence), reason}}
    }
    met = true
  }
  if (met) {
    const found = checkpoint ? (wasPruned ? 'pruned' : 'found') : 'none'
    return {
      ok: true,
      records: head.sequence - anchor.sequence,
      head,
      checkpoint: found,
      ...(pruned && {pruned}),
      signed: heads.result(),
      vouched: Math.max(heads.vouched, found === 'found' && checkpoint ? checkpoint.sequence : 0),
    }
  }
  const reason = `the log ends at record ${head.sequence}, the checkpoint names record ${checkpoint?.sequence}`
  return {ok: false, bad: {record: head.sequence + 1, reason}}
}

/** What the service found itself is as certain as what `verify` finds. */
const alteredBefore = ({seq, time, record}: AuditEvent): BadRecord => ({
  record: typeof record === 'number' ? record : seq,
  reason: `it was not there any more as it was when the service was started on ${time}: the log was rewritten or rolled back before record ${seq}`,
})

/** Where the chain begins: before the first record, or where it was pruned in order. */
async function findBeginning(
  directory: string,
  keys: readonly KeyObject[] | undefined,
): Promise<{anchor: ChainHead; pruned?: Extract<AuditVerdict, {ok: true}>['pruned']} | BadRecord> {
  try {
    const anchor = await readAnchor(directory)
    if (!anchor) return {anchor: genesis}
    const {sequence, hash, time} = anchor
    if (keys && !verifyAnchor(anchor, keys))
      return {
        record: sequence,
        reason: 'that it was pruned is not signed by the recording key of this cluster',
      }
    return {
      anchor: {sequence, hash},
      pruned: {sequence, hash, time, signature: keys ? 'verified' : 'unchecked'},
    }
  } catch (error) {
    if (asProblem(error).code !== 'audit_corrupt') throw error
    return {record: 1, reason: asProblem(error).message}
  }
}

interface Place {
  file: string
  line: number
  bytes: Buffer
  whole: boolean
  record: AuditEvent | undefined
}

async function* readPlaces(directory: string, anchor: ChainHead): AsyncGenerator<Place> {
  const files = await listLogFiles(directory)
  // What a crash left of files that were pruned proves nothing.
  const pruned = new Set(anchor.sequence > 0 ? prunedFiles(files, anchor) : [])
  for (const log of files) {
    if (pruned.has(log)) continue
    const {name: file, path} = log
    let line = 0
    for await (const {bytes, whole} of readLines(path)) {
      line += 1
      yield {file, line, bytes, whole, record: whole ? parseRecord(bytes) : undefined}
    }
  }
}

const isSame = (a: ChainHead, b: ChainHead): boolean => a.sequence === b.sequence && a.hash === b.hash

const where = ({file, line}: Place, record: number) => ({record, file, line})

function fault({whole, record}: Place, head: ChainHead): string | undefined {
  if (!whole) return 'the line is cut off: by a crash, or the log is being written'
  if (!record) return 'it is not a record'
  return record.seq === head.sequence + 1 ? undefined : `record ${record.seq} is in its place`
}

/**
 * A record that does not name the one before: one of the two was changed. The record after tells which, because it
 * still names this one when this one is untouched. `previous` is absent when nothing speaks against it.
 */
async function blame(
  previous: Place | undefined,
  place: Place,
  head: ChainHead,
  rest: AsyncGenerator<Place>,
): Promise<BadRecord> {
  const record = head.sequence + 1
  const own = {...where(place, record), reason: `it does not name record ${head.sequence}`}
  if (!previous) return own
  const after = await rest.next()
  const vouched = !after.done && after.value.record?.prev === recordHash(place.bytes)
  if (vouched)
    return {
      ...where(previous, head.sequence),
      reason: 'it was changed: the record after it names another hash',
    }
  if (after.done)
    return {...where(previous, head.sequence), reason: `it or record ${record}, the last, was changed`}
  return own
}
