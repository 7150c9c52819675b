import {constants} from 'node:os'
import {problem} from '../../errors/index.js'
import {type Helper, startHelper} from '../helper.js'
import {isTimeout, type ScreenIndexer} from '../screen/indexer.js'
import type {Catalogue, Listed} from '../store/catalogue.js'
import {confirmed, filteredDays, type RecordingFilter} from '../store/listing.js'
import {readSearchFile, type SearchEntry} from './file.js'
import {createSieve} from './grams.js'
import {piecesOf, requirePattern, type SearchPattern} from './pattern.js'
import type {SearchAnswer, SearchRequest} from './search-process.js'
import type {RecordingHit, RecordingSearchAnswer} from './types.js'

export interface RecordingSearchQuery extends RecordingFilter, SearchPattern {
  /** Lines at most. Default 100. */
  limit?: number
}

export interface RecordingSearch {
  /** Throws `invalid_input`, `timeout`, and `unavailable` while too many others search. */
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
const LINES_A_RECORDING = 20
const FILES_AT_ONCE = 32
const helperOptions = {heapMegabytes: 512, priority: constants.priority.PRIORITY_BELOW_NORMAL}
const AT_ONCE = 2
const MOST_WAITING = 8

export function createRecordingSearch(options: RecordingSearchOptions): RecordingSearch {
  const takeTurn = createTurns()
  return {
    async search(query) {
      requirePattern(query)
      return await takeTurn(() => run(options, query))
    },
  }
}

async function run(
  {directory, catalogue, indexer, isLive, searchMs}: RecordingSearchOptions,
  query: RecordingSearchQuery,
): Promise<RecordingSearchAnswer> {
  const {limit = DEFAULT_LIMIT} = query
  const answer: RecordingSearchAnswer = {hits: [], more: false, waiting: 0, partly: 0}
  const look = createLooks(query, searchMs)
  let unread = 0
  try {
    for await (const {day, items} of filteredDays(directory, catalogue, query)) {
      const candidates: Listed[] = []
      const known = items.length > 0 ? await sift(day, query) : new Map<string, Sifted>()
      for (const item of items) {
        const entry = known.get(item.paths.sid)
        if (isLive(item.paths.sid)) answer.waiting += 1
        else if (entry?.bytes !== item.summary.bytes) unread += 1
        else {
          if (entry.read !== 'whole') answer.partly += 1
          if (entry.mayHold) candidates.push(item)
        }
      }
      for (let at = 0; at < candidates.length && !answer.more; at += FILES_AT_ONCE) {
        const some = await confirmed(catalogue, candidates.slice(at, at + FILES_AT_ONCE), query)
        answer.hits.push(...(await look.at(some)))
        answer.more = answer.hits.length > limit
      }
      if (answer.more) break
    }
  } finally {
    look.end()
  }
  if (unread > 0) indexer.sweep()
  return {...answer, hits: answer.hits.slice(0, limit), waiting: answer.waiting + unread}
}

type Sifted = Pick<SearchEntry, 'bytes' | 'read'> & {mayHold: boolean}

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
function createLooks(pattern: SearchPattern, searchMs: number) {
  const deadline = performance.now() + searchMs
  const {text, regex, ignoreCase} = pattern
  let helper: Helper<SearchRequest, SearchAnswer> | undefined
  return {
    async at(items: Listed[]): Promise<RecordingHit[]> {
      helper ??= startHelper<SearchRequest, SearchAnswer>('search/search-process', helperOptions)
      const paths = items.map(item => item.paths.screen)
      const request = {pattern: {text, regex, ignoreCase}, paths, most: LINES_A_RECORDING}
      const found = await helper.ask(request, Math.max(1, deadline - performance.now())).catch(error => {
        throw isTimeout(error) ? tooLong(searchMs, error) : error
      })
      return items.flatMap(({summary}, i) =>
        (found[i] ?? []).map(({ms, text: line}) => ({recording: summary, ms, line})),
      )
    },
    end: (): void => helper?.close(),
  }
}

const tooLong = (searchMs: number, cause: unknown): Error =>
  problem('timeout', `the search took longer than ${searchMs / 1000} s`, {
    hint: 'narrow it by user, host or time, or look for something simpler',
    cause,
  })

/** Lets a few searches run, a few more wait, and refuses the rest. */
function createTurns() {
  let running = 0
  const waiting: (() => void)[] = []
  return async <T>(work: () => Promise<T>): Promise<T> => {
    if (running >= AT_ONCE) {
      if (waiting.length >= MOST_WAITING)
        throw problem('unavailable', 'too many searches are waiting', {hint: 'try again in a moment'})
      await new Promise<void>(resolve => waiting.push(resolve))
    } else running += 1
    try {
      return await work()
    } finally {
      const next = waiting.shift()
      if (next) next()
      else running -= 1
    }
  }
}
