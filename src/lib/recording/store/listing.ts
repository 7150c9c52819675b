import {basename} from 'node:path'
import {problem} from '../../errors/index.js'
import {mapParallel} from '../parallel.js'
import type {RecordingSummary} from '../types.js'
import {type Catalogue, type Listed, newestFirst} from './catalogue.js'
import {findRecording, listDays, listHeldOf, type RecordingPaths} from './files.js'
import {readHold} from './hold.js'
import {readSummary} from './summary.js'

export interface RecordingFilter {
  user?: string
  host?: string
  login?: string
  /** Start of the session, Unix ms: from inclusive, to exclusive. */
  from?: number
  to?: number
  /** Only those under legal hold. */
  held?: boolean
}

export interface RecordingQuery extends RecordingFilter {
  /** Session ID of the last recording of the page before; it must be one that this query finds. */
  after?: string
  /** Default 200. */
  limit?: number
}

const DEFAULT_LIMIT = 200
const DAY_MS = 86_400_000
const CONFIRMED_AT_ONCE = 32

/** The recordings that a query finds, newest day first and in a day by their start. Throws `not_found` for `after`. */
export async function listRecordings(
  directory: string,
  catalogue: Catalogue,
  query: RecordingQuery,
): Promise<RecordingSummary[]> {
  const limit = query.limit ?? DEFAULT_LIMIT
  const found: RecordingSummary[] = []
  for await (const page of confirmedPages(directory, catalogue, query, limit)) {
    found.push(...page.map(({summary}) => summary))
    if (found.length >= limit) break
  }
  return found.slice(0, limit)
}

/** What a filter finds by what the catalogue remembers, day by day, newest first. */
export async function* filteredDays(
  directory: string,
  catalogue: Catalogue,
  filter: RecordingFilter,
): AsyncGenerator<{day: string; items: Listed[]}> {
  for (const day of await listDays(directory)) {
    if (isBefore(day, filter.from)) return
    const items = (await catalogue.day(day)).filter(({summary}) => matches(summary, filter))
    const held = filter.held ? await listHeldOf(day) : undefined
    yield {day, items: held ? items.filter(({paths}) => held.has(paths.sid)) : items}
  }
}

/** What a query finds, a few at a time, each checked against its index just before. */
async function* confirmedPages(
  directory: string,
  catalogue: Catalogue,
  query: RecordingQuery,
  pageSize: number,
): AsyncGenerator<Listed[]> {
  const start = query.after === undefined ? undefined : await findStart(directory, query, query.after)
  for await (const {day, items} of filteredDays(directory, catalogue, query)) {
    if (start && day > start.paths.day) continue
    const rest = start?.paths.day === day ? items.filter(item => newestFirst(item, start) > 0) : items
    for (let at = 0; at < rest.length; at += pageSize)
      yield await confirmed(catalogue, rest.slice(at, at + pageSize), query)
  }
}

/** Those that are there still, and are what the filter finds by their index too. */
export async function confirmed(
  catalogue: Catalogue,
  items: Listed[],
  filter: RecordingFilter,
): Promise<Listed[]> {
  const now = await mapParallel(items, CONFIRMED_AT_ONCE, async item => {
    const current = await catalogue.confirm(item)
    return current && {...current, summary: await withHold(current.paths, current.summary)}
  })
  return now.filter(
    (item): item is Listed =>
      item !== undefined &&
      matches(item.summary, filter) &&
      (!filter.held || item.summary.hold !== undefined),
  )
}

/** The summary with the hold that the recording is under, if any: it may come and go at any time. */
export async function withHold(paths: RecordingPaths, summary: RecordingSummary): Promise<RecordingSummary> {
  const hold = await readHold(paths)
  return hold ? {...summary, hold} : summary
}

/** Whoever may not find a recording cannot learn from a page after it that it is there. */
async function findStart(directory: string, query: RecordingQuery, sid: string): Promise<Listed> {
  const paths = await findRecording(directory, sid)
  const start = paths && {paths, summary: await readSummary(paths)}
  const held = !query.held || (paths && (await readHold(paths)) !== undefined)
  if (start && held && matches(start.summary, query)) return start
  throw problem('not_found', `no session ${sid} is among those asked for`, {
    hint: 'go on after the last session of the page before, with the same filters',
  })
}

/** A recording reaches the store on the day of its start or later; a day more allows for a clock that is off. */
const isBefore = (day: string, from: number | undefined): boolean =>
  from !== undefined && Date.parse(`${basename(day)}T00:00:00Z`) + 2 * DAY_MS <= from

const matches = (summary: RecordingSummary, {user, host, login, from, to}: RecordingFilter): boolean =>
  (user === undefined || summary.user === user) &&
  (host === undefined || summary.host === host) &&
  (login === undefined || summary.login === login) &&
  (from === undefined || summary.startedAt >= from) &&
  (to === undefined || summary.startedAt < to)
