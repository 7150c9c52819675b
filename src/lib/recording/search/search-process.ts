import {runInNewContext} from 'node:vm'
import {answerRequests} from '../helper.js'
import type {ScreenLine} from '../screen/lines.js'
import {readScreenLines} from '../screen/text.js'
import {createMatcher, type SearchPattern} from './pattern.js'

// The process that looks into screen files. A regular expression may take for ever: then the process is ended.

export interface SearchRequest {
  pattern: SearchPattern
  paths: string[]
  /** Lines of one recording at most. */
  most: number
}

/** For each path the lines that match, by time, and whether there are more; undefined for one that cannot be read. */
export type SearchAnswer = ({lines: ScreenLine[]; cut: boolean} | undefined)[]

/** Nobody waits longer; this ends it also where the process that asked was killed. */
const TIMEOUT_MS = 15_000

answerRequests<SearchRequest, SearchAnswer>(({pattern, paths, most}) => {
  const matches = createMatcher(pattern)
  const task = (): SearchAnswer => paths.map(path => find(path, matches, most))
  return runInNewContext('task()', {task}, {timeout: TIMEOUT_MS})
})

function find(
  path: string,
  matches: (line: string) => string | undefined,
  most: number,
): SearchAnswer[number] {
  const found: ScreenLine[] = []
  try {
    for (const {ms, text} of readScreenLines(path)) {
      const shown = matches(text)
      if (shown === undefined) continue
      found.push({ms, text: shown})
      // The earliest are wanted; the file is nearly in the order of time.
      if (found.length >= most * 4) break
    }
  } catch {
    // It was deleted, or is damaged: the answer says so, and it is made again.
    return undefined
  }
  return {lines: found.sort((a, b) => a.ms - b.ms).slice(0, most), cut: found.length > most}
}
