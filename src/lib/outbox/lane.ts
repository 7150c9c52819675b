import {isMissing} from '../durable/index.js'
import {SallyportError} from '../errors/index.js'
import {createTurn} from '../waiting/index.js'
import type {Budget} from './budget.js'
import {keptCount, type LaneFiles, sizeOf, toldCount} from './lane-files.js'
import {createLaneQueue} from './lane-queue.js'
import {type Batch, readBatch} from './lane-reader.js'
import {emptyState, noCount} from './lane-state.js'
import {createTrim} from './lane-trim.js'
import {createLaneWriter, type LaneWriter} from './lane-writer.js'
import {findPosition, scanLane} from './scan.js'
import type {Count, Damage, LaneState, Step} from './types.js'

export interface LaneOptions {
  directory: string
  /** A session's ID, or `host`. */
  id: string
  /** Files that a process before this one left. */
  segments: readonly number[]
  budget: Budget
  /** Unix ms. */
  now: () => number
  /** Told of files that are not what was written; the lane goes on behind the good part. */
  onDamage(damage: Damage[]): void
}

/** What one session has to tell, in its order, on disk until auth has it. */
export interface Lane {
  readonly id: string
  readonly state: LaneState
  /** Steps that are kept, and those that auth has. */
  readonly kept: Count
  readonly told: Count
  /** Unix ms since when something waits. */
  readonly waitingSince: number | undefined
  /** Nothing is on disk, and nothing is on its way there. */
  readonly isGone: boolean
  /** Resolves when what was left is read. */
  ready(): Promise<void>
  /** Resolves with the steps kept when this one is durable, those before it included. */
  append(step: Step): Promise<number>
  /** What to tell next; undefined when there is nothing. */
  next(): Promise<Batch | undefined>
  /** Auth has this batch. */
  delivered(batch: Batch): Promise<void>
  /** Sets aside what the disk does not give, as it does with what is damaged. */
  salvage(): Promise<void>
  /** Gives up files that an earlier process did not come to give up. */
  tidy(): Promise<void>
  /** Resolves when what is being written is. */
  idle(): Promise<void>
}

/** Opens a lane; its files are read when they are needed first. */
export function openLane({directory, id, segments: left, budget, now, onDamage}: LaneOptions): Lane {
  const files: LaneFiles = {
    ...{directory, id, budget, now},
    ...{segments: [], state: emptyState, tail: undefined, position: undefined, waitingSince: undefined},
  }
  const inTurn = createTurn()
  const writer = createLaneWriter(files)
  const trim = createTrim(files, writer)
  let isLoaded = left.length === 0

  const load = async (salvage = false): Promise<void> => {
    const numbers = isLoaded ? files.segments.map(({number}) => number) : left
    const damage = await loadFiles(files, writer, numbers, salvage)
    isLoaded = true
    if (damage.length > 0) onDamage(damage)
  }
  const loadOnce = async (): Promise<void> => {
    if (!isLoaded) await load()
  }
  const queue = createLaneQueue(files, writer, inTurn, loadOnce)

  return {
    id,
    get state() {
      return files.state
    },
    get kept() {
      return keptCount(files)
    },
    get told() {
      return toldCount(files)
    },
    get waitingSince() {
      return files.waitingSince
    },
    get isGone() {
      return files.segments.length === 0 && queue.isEmpty && isLoaded
    },
    ready: () => inTurn(loadOnce),
    append: queue.append,
    async next() {
      if (!isLoaded) await inTurn(loadOnce)
      if (keptCount(files).steps <= toldCount(files).steps) return undefined
      try {
        return await readBatch(files)
      } catch (error) {
        if (!isDamage(error)) throw error
        await inTurn(() => load())
        return await readBatch(files)
      }
    },
    delivered: ({after}) =>
      inTurn(async () => {
        // Where the files were read anew in the meantime, they say where the lane is.
        const isKnown = files.segments.some(({number}) => number === after.segment)
        if (!isKnown || after.count.steps <= toldCount(files).steps) return
        files.position = after
        // What cannot be given up or noted now is the next time; auth has it, and that is what counts.
        await trim().catch(() => undefined)
      }),
    salvage: () => inTurn(() => load(true)),
    tidy: () => inTurn(() => trim().catch(() => undefined)),
    idle: () => inTurn(async () => undefined),
  }
}

/** Reads what is on disk; answers what of it is not what was written. */
async function loadFiles(
  files: LaneFiles,
  writer: LaneWriter,
  numbers: readonly number[],
  salvage: boolean,
): Promise<Damage[]> {
  const {directory, id, budget, now} = files
  const before = sizeOf(files)
  const {segments, state, tail, sent: noted, damage} = await scanLane(directory, id, numbers, salvage)
  const told = files.position?.count ?? noCount
  const position = await findPosition(directory, id, segments, told.steps > noted.steps ? told : noted)
  Object.assign(files, {segments, state, tail, position})
  const isCut = tail === undefined || damage.length > 0 || segments.at(-1)?.damaged === true
  writer.reset(Math.max(0, ...numbers), isCut)
  budget.give(before)
  budget.take(sizeOf(files))
  if (keptCount(files).steps > toldCount(files).steps) files.waitingSince ??= now()
  return damage
}

/** Gone, shorter or not what was written: nothing that passes by itself. */
const isDamage = (error: unknown): boolean =>
  (error instanceof SallyportError && error.code === 'recording_corrupt') || isMissing(error)
