import type {RecordingSummary} from '../types.js'

export interface RecordingHit {
  recording: RecordingSummary
  /** When the line was on the screen: milliseconds since the start. */
  ms: number
  /** The line; of a long one the part around what was found. */
  line: string
}

/** Everything in it speaks of recordings that the filter finds, and of no other. */
export interface RecordingSearchAnswer {
  /** Sessions newest first, in each by time. */
  hits: RecordingHit[]
  /** There is more than this: of the sessions in `cut`, or after the session `next`. */
  more: boolean
  /** Sessions in the answer of which only the earliest lines are shown. */
  cut: string[]
  /** The last session of the answer, where another one follows: what `after` is to be for the next page. */
  next?: string
  /** Recordings of this page that were not searched: they still run, or are yet to be read. */
  waiting: number
  /** Recordings of this page of which only a part was searched, or nothing: too long, damaged, hostile. */
  partly: number
}
