import {basename} from 'node:path'
import {problem} from '../../errors/index.js'
import {DAY_MS} from '../../names/index.js'
import {mapParallel} from '../../waiting/index.js'
import type {RecordingSummary} from '../types.js'
import {type Catalogue, type Listed, newestFirst, type Place} from './catalogue.js'
import {findRecording, findRemoved, listDays, listHeldOf, type RecordingPaths} from './files.js'
import {readHold} from './hold.js'
import {readTombstone} from './removal.js'
import {readSummary} from './summary.js'

export interface RecordingFilter {
  /** Only this session. */
  sid?: string
  user?: string
  host?: string
  login?: string
  /** Start of the session, Unix ms: from inclusive, to exclusive. */
  from?: number
  to?: number
  /** Only those under legal hold. */
  held?: boolean
}

/** A filter, and where to go on. */
export interface RecordingsAfter extends RecordingFilter {
  /**
   * Session ID of the last recording of the page before; it must be one that this query finds, or found before it was
   * removed or its hold released.
   */
  after?: string
}

export interface RecordingQuery extends RecordingsAfter {
  /** Default 200. */
  limit?: number
}

const DEFAULT_LIMIT = 200
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

/**
 * What a filter finds by what the catalogue remembers, day by day, newest first. Throws `not_found` for `after`.
 */
export async function* filteredDays(
  directory: string,
  catalogue: Catalogue,
  filter: RecordingsAfter,
): AsyncGenerator<{day: string; items: Listed[]}> {
  const start = filter.after === undefined ? undefined : await findStart(directory, filter, filter.after)
  for (const day of await daysOf(directory, filter.sid)) {
    if (isBefore(day, filter.from)) return
    if (start && day > start.paths.day) continue
    const items = (await catalogue.day(day)).filter(({summary}) => matches(summary, filter))
    const rest = start?.paths.day === day ? items.filter(item => newestFirst(item, start) > 0) : items
    const held = filter.held ? await listHeldOf(day) : undefined
    yield {day, items: held ? rest.filter(({paths}) => held.has(paths.sid)) : rest}
  }
}

/** The days to look into: of one session its own. */
async function daysOf(directory: string, sid: string | undefined): Promise<string[]> {
  if (sid === undefined) return await listDays(directory)
  const paths = await findRecording(directory, sid)
  return paths ? [paths.day] : []
}

/** What a query finds, a few at a time, each checked against its index just before. */
async function* confirmedPages(
  directory: string,
  catalogue: Catalogue,
  query: RecordingQuery,
  pageSize: number,
): AsyncGenerator<Listed[]> {
  for await (const {items} of filteredDays(directory, catalogue, query))
    for (let at = 0; at < items.length; at += pageSize)
      yield await confirmed(catalogue, items.slice(at, at + pageSize), query)
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

/**
 * Where a list goes on: after a recording, or where one was that has been removed since. Whoever may not find a recording
 * cannot learn from a page after it that it is there.
 */
async function findStart(directory: string, filter: RecordingFilter, sid: string): Promise<Place> {
  const start = (await placeOf(directory, sid)) ?? (await placeOfRemoved(directory, sid))
  if (start && matches(start.summary, filter)) return start
  throw problem('not_found', `no session ${sid} is among those asked for`, {
    hint: 'go on after the last session of the page before, with the same filters',
  })
}

type Facts = Pick<RecordingSummary, 'sid' | 'user' | 'host' | 'login' | 'startedAt'>

async function placeOf(directory: string, sid: string): Promise<(Place & {summary: Facts}) | undefined> {
  const paths = await findRecording(directory, sid)
  return paths && {paths, summary: await readSummary(paths)}
}

/** Of one that was too damaged to be listed its tombstone does not say enough. */
async function placeOfRemoved(
  directory: string,
  sid: string,
): Promise<(Place & {summary: Facts}) | undefined> {
  const paths = await findRemoved(directory, sid)
  const {recording} = paths ? (await readTombstone(paths)).tombstone : {}
  return paths && recording && {paths, summary: {sid, ...recording}}
}

/** A recording reaches the store on the day of its start or later; a day more allows for a clock that is off. */
const isBefore = (day: string, from: number | undefined): boolean =>
  from !== undefined && Date.parse(`${basename(day)}T00:00:00Z`) + 2 * DAY_MS <= from

const matches = (summary: Facts, {sid, user, host, login, from, to}: RecordingFilter): boolean =>
  (sid === undefined || summary.sid === sid) &&
  (user === undefined || summary.user === user) &&
  (host === undefined || summary.host === host) &&
  (login === undefined || summary.login === login) &&
  (from === undefined || summary.startedAt >= from) &&
  (to === undefined || summary.startedAt < to)
