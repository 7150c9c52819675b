import {constants} from 'node:os'
import {problem} from '../../errors/index.js'
import {createAtMost} from '../../waiting/index.js'
import {type Helper, startHelper} from '../helper.js'
import {isTimeout, type ScreenIndexer} from '../screen/indexer.js'
import type {Catalogue, Listed} from '../store/catalogue.js'
import {confirmed, filteredDays, type RecordingsAfter} from '../store/listing.js'
import {readSearchFile, type SearchEntry} from './file.js'
import {createSieve} from './grams.js'
import {createPage} from './page.js'
import {piecesOf, requirePattern, type SearchPattern} from './pattern.js'
import type {SearchAnswer, SearchRequest} from './search-process.js'
import type {RecordingSearchAnswer} from './types.js'

export interface RecordingSearchQuery extends RecordingsAfter, SearchPattern {
  /** Lines at most. Default 100. */
  limit?: number
}

export interface RecordingSearch {
  /** Throws `invalid_input`, `timeout`, `not_found` for `after`, and `unavailable` while too many others search. */
  search(query: RecordingSearchQuery): Promise<RecordingSearchAnswer>
}

export interface RecordingSearchOptions {
  directory: string
  catalogue: Catalogue
  indexer: ScreenIndexer
  isLive: (sid: string) => boolean
  /** A search that takes longer is ended. */
  searchMs: number
}

const DEFAULT_LIMIT = 100
const FILES_AT_ONCE = 32
const helperOptions = {heapMegabytes: 512, priority: constants.priority.PRIORITY_BELOW_NORMAL}
const AT_ONCE = 2
const MOST_WAITING = 8

export function createRecordingSearch(options: RecordingSearchOptions): RecordingSearch {
  const takeTurn = createAtMost({running: AT_ONCE, waiting: MOST_WAITING, tooMany: tooManySearches})
  return {
    async search(query) {
      requirePattern(query)
      return await takeTurn(() => run(options, query))
    },
  }
}

async function run(
  options: RecordingSearchOptions,
  query: RecordingSearchQuery,
): Promise<RecordingSearchAnswer> {
  const {directory, catalogue, indexer, isLive, searchMs} = options
  const page = createPage(query.limit ?? DEFAULT_LIMIT, query.sid !== undefined)
  const look = createLooks(query, page.linesEach, searchMs)
  /** Of every session that the filter finds, in their order. */
  const states: State[] = []
  /** Looks into sessions until one does not fit any more. */
  const fill = async (candidates: Candidate[]): Promise<boolean> => {
    for (let at = 0; at < candidates.length; at += FILES_AT_ONCE) {
      const some = candidates.slice(at, at + FILES_AT_ONCE)
      const positions = new Map(some.map(({position, paths}) => [paths.sid, position]))
      const there = await confirmed(catalogue, some, query)
      const answers = await look.at(there)
      for (const [i, item] of there.entries()) {
        const found = answers[i]
        const position = positions.get(item.paths.sid) ?? 0
        if (!found) {
          states[position] = 'unread'
          indexer.add(item.paths, item.summary.bytes)
        } else if (!page.take({...found, summary: item.summary}, position)) return false
      }
    }
    return true
  }
  let all = true
  try {
    for await (const {day, items} of filteredDays(directory, catalogue, query)) {
      const known = items.length > 0 ? await sift(day, query) : new Map<string, Sifted>()
      const candidates: Candidate[] = []
      for (const item of items) {
        const entry = known.get(item.paths.sid)
        const state = stateOf(item, entry, isLive)
        if (entry?.mayHold && (state === 'whole' || state === 'partly'))
          candidates.push({...item, position: states.length})
        states.push(state)
      }
      all = await fill(candidates)
      if (!all) break
    }
  } finally {
    look.end()
  }
  if (states.includes('unread')) indexer.sweep()
  const {hits, cut, lastPosition} = page.result()
  // The next page begins after the last session with lines, and answers for all from there on.
  const ours = all ? states : states.slice(0, lastPosition + 1)
  const count = (wanted: State): number => ours.filter(state => state === wanted).length
  const next = all ? undefined : hits.at(-1)?.recording.sid
  return {
    ...{hits, more: !all || cut.length > 0, cut, ...(next !== undefined && {next})},
    ...{waiting: count('live') + count('unread'), partly: count('partly')},
  }
}

/** live: it still runs. unread: its screen is yet to be read. partly, whole: as much of it was. */
type State = 'live' | 'unread' | 'partly' | 'whole'
type Candidate = Listed & {position: number}
type Sifted = Pick<SearchEntry, 'bytes' | 'read'> & {mayHold: boolean}

function stateOf(
  {paths, summary}: Listed,
  entry: Sifted | undefined,
  isLive: (sid: string) => boolean,
): State {
  if (isLive(paths.sid)) return 'live'
  if (entry?.bytes !== summary.bytes) return 'unread'
  return entry.read === 'whole' ? 'whole' : 'partly'
}

/** What the search file of a day says about each session; signatures are looked at in passing and not kept. */
async function sift(day: string, pattern: SearchPattern): Promise<Map<string, Sifted>> {
  const mayHold = createSieve(piecesOf(pattern))
  const known = new Map<string, Sifted>()
  for await (const {entry} of readSearchFile(day)) {
    const {sid, bytes, read, signature} = entry
    known.set(sid, {bytes, read, mayHold: read !== 'unreadable' && mayHold(signature)})
  }
  return known
}

/** Looks into screen files in a process of its own, which is there from the first look to the end. */
function createLooks(pattern: SearchPattern, linesEach: number, searchMs: number) {
  const deadline = performance.now() + searchMs
  const {text, regex, ignoreCase} = pattern
  let helper: Helper<SearchRequest, SearchAnswer> | undefined
  return {
    /** Of each its lines; undefined where the screen file is missing or damaged. */
    async at(items: Listed[]): Promise<SearchAnswer> {
      helper ??= startHelper<SearchRequest, SearchAnswer>('search/search-process', helperOptions)
      const paths = items.map(item => item.paths.screen)
      const request = {pattern: {text, regex, ignoreCase}, paths, most: linesEach}
      return await helper.ask(request, Math.max(1, deadline - performance.now())).catch(error => {
        throw isTimeout(error) ? tooLong(searchMs, error) : error
      })
    },
    end: (): void => helper?.close(),
  }
}

const tooLong = (searchMs: number, cause: unknown): Error =>
  problem('timeout', `the search took longer than ${searchMs / 1000} s`, {
    hint: 'narrow it by user, host or time, or look for something simpler',
    cause,
  })

const tooManySearches = () =>
  problem('unavailable', 'too many searches are waiting', {hint: 'try again in a moment'})
