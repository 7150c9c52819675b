import type {AuditEvent, AuditQuery} from './event.js'
import {type LogFile, readLines, readLinesBackward} from './files.js'
import {parseRecord} from './tail.js'

const DEFAULT_LIMIT = 200
export const MAX_LIMIT = 10_000
const DAY_MS = 86_400_000

/**
 * Records that match, newest first, reading files backwards and only as far as needed. Of the active file only the
 * durable part is read. A line that is no record is left out and reported.
 */
export async function queryFiles(
  files: LogFile[],
  query: AuditQuery,
  active?: {file: LogFile; size: number},
  onDamage?: (file: string, offset: number) => void,
): Promise<AuditEvent[]> {
  const limit = Math.min(Math.max(query.limit ?? DEFAULT_LIMIT, 0), MAX_LIMIT)
  const found: AuditEvent[] = []
  for (const file of files.toReversed()) {
    if (!mayHold(file, query)) continue
    const end = active?.file.path === file.path ? active.size : undefined
    for await (const {bytes, offset} of readLinesBackward(file.path, end)) {
      if (found.length >= limit) return found
      if (!mentions(bytes, query.sid) || !mentions(bytes, query.user)) continue
      const event = parseRecord(bytes)
      if (!event) onDamage?.(file.name, offset)
      else if (matches(event, query)) found.push(event)
    }
  }
  return found
}

export interface AuditScan {
  /** Unix ms; a day more or two are given, too, where a file holds them. */
  since: number
  /** Sequence of the last record wanted. */
  upTo: number
  /** What the line of a record must contain. */
  containing: string
}

/** Records in their order, a file at a time from the first that may hold one of `since`. */
export async function* scanFiles(
  files: LogFile[],
  {since, upTo, containing}: AuditScan,
): AsyncGenerator<AuditEvent> {
  for (const file of files) {
    if (file.firstSequence > upTo) return
    if (!mayHold(file, {from: new Date(since)})) continue
    for await (const {bytes} of readLines(file.path)) {
      const event = bytes.includes(containing) ? parseRecord(bytes) : undefined
      if (event && event.seq <= upTo) yield event
    }
  }
}

/** A file holds the events of its day; a day more on either side allows for a clock that was set. */
function mayHold(file: LogFile, {from, to}: AuditQuery): boolean {
  const start = Date.parse(`${file.day}T00:00:00Z`)
  const before = to !== undefined && start - DAY_MS >= to.getTime()
  const after = from !== undefined && start + 2 * DAY_MS <= from.getTime()
  return !before && !after
}

/** Spares parsing a line that cannot match. */
const mentions = (line: Buffer, value: string | undefined): boolean =>
  value === undefined || line.includes(JSON.stringify(value))

function matches(event: AuditEvent, {event: names, user, sid, from, to}: AuditQuery): boolean {
  const time = Date.parse(event.time)
  return (
    (names === undefined || names.includes(event.event)) &&
    (user === undefined || event.user === user) &&
    (sid === undefined || event.sid === sid) &&
    (from === undefined || time >= from.getTime()) &&
    (to === undefined || time < to.getTime())
  )
}
