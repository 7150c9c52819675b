import {readdirSync} from 'node:fs'
import {join} from 'node:path'
import {beforeAll, beforeEach, expect, test, vi} from 'vitest'
import {
  openRecordingStore,
  type RecordingSearchQuery,
  type RecordingStore,
} from '../../../../src/lib/recording/index.js'
import type {SearchRequest} from '../../../../src/lib/recording/search/search-process.js'
import {COMMON, fillStore, RARE} from '../../../bench/search-store.js'
import {atEnd} from '../../../support/cleanup.js'
import {temporaryDirectory} from '../../../support/temporary-directory.js'

// How much a search does, in a store of many sessions. How long that takes is for the benchmark to say.

const SESSIONS = 600
const DAYS = 2

/** Files that searches open, by their endings, and bytes that are read of them. */
const work = vi.hoisted(() => ({
  opened: new Map<string, number>(),
  screens: 0,
  looks: 0,
  note(path: string) {
    const ending = path.replace(/^.*\/(?:[0-9a-f-]{36})?/, '')
    work.opened.set(ending, (work.opened.get(ending) ?? 0) + 1)
  },
}))

vi.mock('../../../../src/lib/recording/store/files.js', async load => {
  const files = await load<typeof import('../../../../src/lib/recording/store/files.js')>()
  return {
    ...files,
    openRegular: (...args: Parameters<typeof files.openRegular>) => {
      work.note(args[0])
      return files.openRegular(...args)
    },
  }
})

vi.mock('../../../../src/lib/recording/helper.js', async load => {
  const helpers = await load<typeof import('../../../../src/lib/recording/helper.js')>()
  return {
    startHelper: (name: string, options: Parameters<typeof helpers.startHelper>[1]) => {
      const helper = helpers.startHelper<SearchRequest, unknown>(name, options)
      return {
        ...helper,
        ask: (request: SearchRequest, timeoutMs: number) => {
          work.looks += 1
          work.screens += request.paths.length
          return helper.ask(request, timeoutMs)
        },
      }
    },
  }
})

let store: RecordingStore

beforeAll(async () => {
  const directory = join(temporaryDirectory(), 'recordings')
  fillStore(directory, SESSIONS)
  expect(readdirSync(directory)).toHaveLength(DAYS)
  store = await openRecordingStore({directory, signHead: () => ''})
  atEnd(store.close)
  await search('to remember what there is')
})

beforeEach(() => {
  work.opened.clear()
  work.screens = 0
  work.looks = 0
})

async function search(text: string, rest: Partial<RecordingSearchQuery> = {}) {
  return await store.search({regex: false, ignoreCase: false, ...rest, text})
}

/** Files that were opened in this process; `search.bin` is one a day. */
const opened = (ending: string): number => work.opened.get(ending) ?? 0

test.each<[string, string, Partial<RecordingSearchQuery>, number]>([
  ['a text that one session has', RARE, {}, 1],
  ['a text that none has', 'kubernetes-xyzzy --force', {}, 0],
  ['letters of either case', RARE.toUpperCase(), {ignoreCase: true}, 1],
  ['a regular expression', 'zeppelin +hangar (six|seven)$', {regex: true}, 1],
])('%s: few screens are opened, and no recording', async (_what, text, query, hits) => {
  expect((await search(text, query)).hits).toHaveLength(hits)
  expect(opened('search.bin')).toBe(DAYS)
  // A Bloom filter admits some that do not hold it.
  expect(work.screens).toBeGreaterThanOrEqual(hits)
  expect(work.screens).toBeLessThan(SESSIONS / 100)
  expect(opened('.index.jsonl')).toBeLessThanOrEqual(work.screens)
  expect(opened('.cast.gz')).toBe(0)
})

test('a text that every session has: no more screens are opened than fill a page', async () => {
  const {hits, next} = await search(COMMON, {limit: 50})
  expect([hits.length, next]).toEqual([50, hits[49]?.recording.sid])
  expect(work.screens).toBeLessThanOrEqual(64)
  expect(opened('search.bin')).toBe(1)
  const second = await search(COMMON, {limit: 50, after: next ?? ''})
  expect(second.hits).toHaveLength(50)
  // The second page ends one day and begins another.
  expect(work.screens).toBeLessThanOrEqual(64 + 3 * 32)
})

test('one user, one session, one day: the others are not looked at', async () => {
  const {hits} = await search(COMMON, {user: 'user7', limit: 1000})
  expect(hits).toHaveLength(SESSIONS / 40)
  expect(work.screens).toBe(SESSIONS / 40)
  const sid = hits[0]?.recording.sid ?? ''
  work.opened.clear()
  work.screens = 0
  expect((await search(COMMON, {sid})).hits).toHaveLength(1)
  expect([work.screens, opened('search.bin')]).toEqual([1, 1])
})
