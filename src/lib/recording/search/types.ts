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
  /** There may be more than was asked for. */
  more: boolean
  /** Recordings that were not searched: they still run, or are yet to be read. */
  waiting: number
  /** Recordings of which only a part was searched, or nothing: too long, damaged, hostile. */
  partly: number
}
