import type {ScreenLine} from '../screen/lines.js'
import type {RecordingSummary} from '../types.js'
import type {RecordingHit} from './types.js'

/** What is in one session: the earliest lines that match, at most as many as a page shows of one. */
interface Found {
  summary: RecordingSummary
  lines: readonly ScreenLine[]
  /** There are more. */
  cut: boolean
}

export interface SearchPage {
  /** Lines of one session at most. */
  linesEach: number
  /** Takes in all lines of a session that comes at `position`, or none of them: then the page is full. */
  take(found: Found, position: number): boolean
  /** `lastPosition` is that of the last session with lines, -1 without one. */
  result(): {hits: RecordingHit[]; cut: string[]; lastPosition: number}
}

/** One session alone must not fill a page, unless it is the only one that is asked for. */
const LINES_A_RECORDING = 20

/** A page never ends within a session, so that the next one can begin after it. At most `limit` lines. */
export function createPage(limit: number, ofOneSession: boolean): SearchPage {
  const hits: RecordingHit[] = []
  const cut: string[] = []
  let lastPosition = -1
  return {
    linesEach: ofOneSession ? limit : Math.min(limit, LINES_A_RECORDING),
    take(found, position) {
      if (found.lines.length === 0) return true
      if (hits.length + found.lines.length > limit) return false
      for (const {ms, text: line} of found.lines) hits.push({recording: found.summary, ms, line})
      if (found.cut) cut.push(found.summary.sid)
      lastPosition = position
      return true
    },
    result: () => ({hits, cut, lastPosition}),
  }
}
