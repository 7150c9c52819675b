import {stat} from 'node:fs/promises'
import {DAY_MS} from '../names/index.js'
import type {AuditEvent, AuditQuery} from './event.js'
import {type Line, type LogFile, listLogFiles, readLines, readLinesBackward} from './files.js'
import {parseRecord} from './record.js'

const DEFAULT_LIMIT = 200
const MAX_LIMIT = 10_000
/** So much is read to the place where a page begins. */
const NEAR_BYTES = 512 * 1024

/** The file that is written to, and how much of it is durable. */
export interface ActiveFile {
  file: LogFile
  size: number
}

type OnDamage = (file: string, offset: number) => void

/**
 * Records that match, in the order asked for, reading only as much as needed. Of the active file only the durable part
 * is read. A line that is no record is left out and reported.
 */
export async function queryFiles(
  files: LogFile[],
  query: AuditQuery,
  active?: ActiveFile,
  onDamage?: OnDamage,
): Promise<AuditEvent[]> {
  const limit = Math.min(Math.max(query.limit ?? DEFAULT_LIMIT, 0), MAX_LIMIT)
  const found: AuditEvent[] = []
  const lines = query.order === 'oldest' ? oldestFirst : newestFirst
  for await (const {file, bytes, offset} of lines(files, query, active)) {
    if (found.length >= limit) break
    if (!mentions(bytes, query.sid) || !mentions(bytes, query.user)) continue
    const event = parseRecord(bytes)
    if (!event) onDamage?.(file.name, offset)
    else if (matches(event, query)) found.push(event)
  }
  return found
}

type FileLine = Line & {file: LogFile}

async function* newestFirst(
  files: LogFile[],
  query: AuditQuery,
  active?: ActiveFile,
): AsyncGenerator<FileLine> {
  for (const [at, file] of [...files.entries()].reverse()) {
    if (query.after !== undefined && endsBy(files, at, query.after)) return
    const held = mayHold(file, query)
    if (held === 'nothing') continue
    const end = active?.file.path === file.path ? active.size : undefined
    for await (const line of readLinesBackward(file.path, await placeBefore(file, query.before, end))) {
      if (query.after !== undefined && isBy(line, query.after)) return
      if (held === 'all' || isLate(line)) yield {...line, file}
    }
  }
}

async function* oldestFirst(
  files: LogFile[],
  query: AuditQuery,
  active?: ActiveFile,
): AsyncGenerator<FileLine> {
  const {after = 0} = query
  for (const [at, file] of files.entries()) {
    const held = mayHold(file, query)
    if (endsBy(files, at, after) || held === 'nothing') continue
    if (query.before !== undefined && file.firstSequence >= query.before) return
    const end = active?.file.path === file.path ? active.size : Number.POSITIVE_INFINITY
    for await (const line of readLines(file.path, await placeAfter(file, after))) {
      if (line.offset >= end) break
      if (query.before !== undefined && line.whole && !isBy(line, query.before - 1)) return
      if (line.whole && !isBy(line, after) && (held === 'all' || isLate(line))) yield {...line, file}
    }
  }
}

/** Whether the file at this place is done with before records after `sequence` begin: the next one says so. */
function endsBy(files: LogFile[], at: number, sequence: number): boolean {
  const next = files[at + 1]
  return next !== undefined && next.firstSequence <= sequence + 1
}

const isBy = ({bytes}: Line, sequence: number): boolean =>
  sequence > 0 && (parseRecord(bytes)?.seq ?? Number.POSITIVE_INFINITY) <= sequence

/** Where a line begins that is not after the first record after `sequence`: by halves, so that paging stays cheap. */
async function placeAfter(file: LogFile, sequence: number): Promise<number> {
  if (file.firstSequence > sequence) return 0
  let from = 0
  let to = (await stat(file.path)).size
  while (to - from > NEAR_BYTES) {
    const middle = from + Math.floor((to - from) / 2)
    const line = await firstLineFrom(file.path, middle)
    const record = line && parseRecord(line.bytes)
    // Damage in between: it is read from here on.
    if (!record || line.offset >= to) return from
    if (record.seq <= sequence) from = line.offset
    else to = middle
  }
  return from
}

/** Where the first record begins that is not before `sequence`; `end` where there is none. */
async function placeBefore(
  file: LogFile,
  sequence: number | undefined,
  end: number | undefined,
): Promise<number | undefined> {
  if (sequence === undefined) return end
  if (file.firstSequence >= sequence) return 0
  for await (const line of readLines(file.path, await placeAfter(file, sequence - 1))) {
    if (end !== undefined && line.offset >= end) return end
    if (line.whole && (parseRecord(line.bytes)?.seq ?? 0) >= sequence) return line.offset
  }
  return end
}

/** The first line that begins after `middle`, whatever line that is in the middle of. */
async function firstLineFrom(path: string, middle: number): Promise<Line | undefined> {
  let isFirst = true
  for await (const line of readLines(path, middle)) {
    if (!isFirst) return line.whole ? line : undefined
    isFirst = false
  }
  return undefined
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
    if (mayHold(file, {from: new Date(since)}) === 'nothing') continue
    for await (const {bytes} of readLines(file.path)) {
      const event = bytes.includes(containing) ? parseRecord(bytes) : undefined
      if (event && event.seq <= upTo) yield event
    }
  }
}

/** Records of a log that nobody need have open, in their order. */
export async function* scanLog(directory: string, containing: string): AsyncGenerator<AuditEvent> {
  yield* scanFiles(await listLogFiles(directory), {since: 0, upTo: Number.MAX_SAFE_INTEGER, containing})
}

/**
 * A file holds the events that came on its day; a day more on either side allows for a clock that was set. Of what
 * happened before that it holds what was told late.
 */
function mayHold(file: LogFile, {from, to}: AuditQuery): 'all' | 'late' | 'nothing' {
  const start = Date.parse(`${file.day}T00:00:00Z`)
  if (from !== undefined && start + 2 * DAY_MS <= from.getTime()) return 'nothing'
  return to !== undefined && start - DAY_MS >= to.getTime() ? 'late' : 'all'
}

/** Only a field is spelt like this: within a text its quotation marks are escaped. */
const isLate = ({bytes}: Line): boolean => bytes.includes('"received":"')

/** Spares parsing a line that cannot match. */
const mentions = (line: Buffer, value: string | undefined): boolean =>
  value === undefined || line.includes(JSON.stringify(value))

function matches(event: AuditEvent, query: AuditQuery): boolean {
  const {event: names, without, success, user, sid, login, host, from, to} = query
  const time = Date.parse(event.time)
  return (
    (names === undefined || names.includes(event.event)) &&
    !without?.includes(event.event) &&
    (success === undefined || event.success === success) &&
    (user === undefined || event.user === user) &&
    (sid === undefined || event.sid === sid) &&
    (login === undefined || event.login === login) &&
    (host === undefined || event.server_hostname === host) &&
    (from === undefined || time >= from.getTime()) &&
    (to === undefined || time < to.getTime())
  )
}
