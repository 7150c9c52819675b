import {GENESIS, listLogFiles, readLines, recordHash} from './files.js'
import {type ChainHead, parseRecord} from './tail.js'

export type AuditVerdict =
  | {ok: true; records: number; head: ChainHead; checkpoint: 'none' | 'found'}
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
 * Follows the chain from the first record to the last. Without a checkpoint (a head noted earlier and kept elsewhere)
 * it cannot notice that records are missing at the end or that the very last one was changed; with one it does.
 */
export async function verifyAuditLog(directory: string, checkpoint?: ChainHead): Promise<AuditVerdict> {
  let head: ChainHead = {sequence: 0, hash: GENESIS}
  let previous: Place | undefined
  let met = checkpoint === undefined || isSame(head, checkpoint)
  const places = readPlaces(directory)
  for await (const place of places) {
    const found = fault(place, head)
    if (found === 'not chained') {
      const trusted = checkpoint?.sequence === head.sequence
      return {ok: false, bad: await blame(trusted ? undefined : previous, place, head, places)}
    }
    if (found) return {ok: false, bad: {...where(place, head.sequence + 1), reason: found}}
    head = {sequence: head.sequence + 1, hash: recordHash(place.bytes)}
    previous = place
    if (checkpoint?.sequence !== head.sequence) continue
    if (!isSame(head, checkpoint)) {
      const reason = 'it is not the record that the checkpoint names: the log was rewritten'
      return {ok: false, bad: {...where(place, head.sequence), reason}}
    }
    met = true
  }
  if (met) return {ok: true, records: head.sequence, head, checkpoint: checkpoint ? 'found' : 'none'}
  const reason = `the log ends at record ${head.sequence}, the checkpoint names record ${checkpoint?.sequence}`
  return {ok: false, bad: {record: head.sequence + 1, reason}}
}

interface Place {
  file: string
  line: number
  bytes: Buffer
  whole: boolean
}

async function* readPlaces(directory: string): AsyncGenerator<Place> {
  for (const {name: file, path} of await listLogFiles(directory)) {
    let line = 0
    for await (const {bytes, whole} of readLines(path)) {
      line += 1
      yield {file, line, bytes, whole}
    }
  }
}

const isSame = (a: ChainHead, b: ChainHead): boolean => a.sequence === b.sequence && a.hash === b.hash

const where = ({file, line}: Place, record: number) => ({record, file, line})

function fault({bytes, whole}: Place, head: ChainHead): string | undefined {
  if (!whole) return 'the line is cut off: by a crash, or the log is being written'
  const record = parseRecord(bytes)
  if (!record) return 'it is not a record'
  if (record.seq !== head.sequence + 1) return `record ${record.seq} is in its place`
  return record.prev === head.hash ? undefined : 'not chained'
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
  const vouched = !after.done && parseRecord(after.value.bytes)?.prev === recordHash(place.bytes)
  if (vouched)
    return {
      ...where(previous, head.sequence),
      reason: 'it was changed: the record after it names another hash',
    }
  if (after.done)
    return {...where(previous, head.sequence), reason: `it or record ${record}, the last, was changed`}
  return own
}
