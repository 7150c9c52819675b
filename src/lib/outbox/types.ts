import type {AuditInput} from '../audit/index.js'
import type {RecordingChunk, RecordingEnd, RecordingMeta} from '../recording/index.js'

/** An event as it is kept: the same however often it is told. */
export type SpooledEvent = AuditInput & {uid: string; time: number}

/** What the auth service has to be told. */
export type Step =
  | {kind: 'event'; input: SpooledEvent}
  | {kind: 'begin'; meta: RecordingMeta}
  | {kind: 'chunk'; chunk: RecordingChunk}
  | {kind: 'seal'; end: RecordingEnd}

/** What the steps of one session come to. */
export interface LaneState {
  meta?: RecordingMeta
  /** Of the recording: its chunks, the digest and the time of the last one. */
  chunks: number
  head: string
  lastMs: number
  sealed: boolean
  /** Word of the recording is on record. */
  uploaded: boolean
  start?: SpooledEvent
  /** Events of files that are on record as open. */
  open?: readonly SpooledEvent[]
  /** Users who have joined. */
  joined?: readonly string[]
  ended: boolean
}

/** Steps of a lane, counted from its beginning. */
export interface Count {
  steps: number
  /** Those of them that are events. */
  events: number
}

/** First record of every file. */
export interface SegmentHead {
  version: 1
  lane: string
  segment: number
  /** What came before this file. */
  first: Count
  /** What auth had when the file was begun. */
  sent: Count
  state: LaneState
  /** The file before, and how much of it counts; absent where it had been delivered. */
  after?: {segment: number; bytes: number}
}

export type SpoolRecord = Step | {kind: 'head'; head: SegmentHead} | {kind: 'sent'; sent: Count}

/** A file of the spool that is not what was written to it. */
export interface Damage {
  lane: string
  file: string
  /** Bytes of it that are good. */
  good: number
  bytes: number
  reason: string
}

/** What waits for auth. */
export interface OutboxStatus {
  events: number
  /** Recordings of which something waits. */
  recordings: number
  bytes: number
  /** Unix ms since when something has been waiting; absent where nothing is. */
  oldest?: number
  /** Why auth cannot be told now; absent while it can. */
  away?: string
}
