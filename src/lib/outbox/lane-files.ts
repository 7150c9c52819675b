import type {Budget} from './budget.js'
import {noCount} from './lane-state.js'
import type {Position, Segment} from './scan.js'
import {segmentPath} from './segment-file.js'
import type {Count, LaneState} from './types.js'

/** What a lane has on disk. One job at a time changes it; others only look. */
export interface LaneFiles {
  readonly directory: string
  readonly id: string
  readonly budget: Budget
  /** Unix ms. */
  readonly now: () => number
  segments: Segment[]
  /** After the last step. */
  state: LaneState
  /** Behind the last record; undefined where there is none. */
  tail: Position | undefined
  /** Where the first step begins that auth does not have; undefined where there is no file. */
  position: Position | undefined
  /** Unix ms since when something waits. */
  waitingSince: number | undefined
}

export const pathOf = ({directory, id}: LaneFiles, segment: number): string =>
  segmentPath(directory, id, segment)

/** Steps that are kept. */
export const keptCount = ({tail}: LaneFiles): Count => tail?.count ?? noCount

/** Steps that auth has. */
export const toldCount = (files: LaneFiles): Count => files.position?.count ?? keptCount(files)

export const sizeOf = ({segments}: LaneFiles): number => segments.reduce((sum, {bytes}) => sum + bytes, 0)
