import {systemErrorWords} from '../durable/index.js'
import {problem, SallyportError} from '../errors/index.js'
import type {Budget} from './budget.js'
import {encodeFrame, FRAME_BYTES, seed} from './frames.js'
import {advance, countStep, emptyState, isOpen, noCount} from './lane-state.js'
import {decodeRecord, encodeRecord} from './records.js'
import {countOf, findPosition, type Position, type Segment, scanLane} from './scan.js'
import {
  appendSegment,
  createSegment,
  readFrames,
  removeSegment,
  segmentPath,
  setAside,
  truncateSegment,
} from './segment-file.js'
import type {Count, Damage, LaneState, SegmentHead, Step} from './types.js'

/** A file is closed at this size. */
const SEGMENT_BYTES = 4 * 1024 * 1024
/** A lane of which everything is delivered gives its files up above this size. */
const TRIM_BYTES = 256 * 1024
/** Most that is written at once, and most events that are told at once. */
const BATCH_STEPS = 256
const BATCH_BYTES = 8 * 1024 * 1024
/** Events are told at once up to this size, and the one that passes it. */
const TELL_BYTES = 256 * 1024

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

/** Steps in their order that auth is told next: one of a recording, or events. */
export interface Batch {
  steps: Step[]
  after: Position
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

interface Waiting {
  step: Step
  body: Buffer
  resolve: (steps: number) => void
  reject: (error: SallyportError) => void
}

/** Opens a lane; its files are read when they are needed first. */
export function openLane({directory, id, segments: left, budget, now, onDamage}: LaneOptions): Lane {
  const inTurn = createTurn()
  const queue: Waiting[] = []
  let segments: Segment[] = []
  let lastNumber = 0
  let state = emptyState
  let tail: Position | undefined
  /** Where a write has to begin with a file of its own. */
  let isCut = true
  /** A failed write may have left something behind the end of the last file. */
  let isDirty = false
  let position: Position | undefined
  let marked = 0
  let waitingSince: number | undefined
  let isDraining = false

  const path = (segment: number): string => segmentPath(directory, id, segment)
  const keptCount = (): Count => tail?.count ?? noCount
  const toldCount = (): Count => position?.count ?? keptCount()
  const size = (): number => segments.reduce((sum, {bytes}) => sum + bytes, 0)

  const load = async (numbers: readonly number[], salvage = false): Promise<void> => {
    const before = size()
    const scan = await scanLane(directory, id, numbers, salvage)
    segments = scan.segments
    lastNumber = Math.max(lastNumber, 0, ...numbers)
    state = scan.state
    tail = scan.tail
    isCut = tail === undefined || scan.damage.length > 0 || segments.at(-1)?.damaged === true
    isDirty = false
    const told = position?.count ?? noCount
    const sent = told.steps > scan.sent.steps ? told : scan.sent
    position = await findPosition(directory, id, segments, sent)
    budget.give(before)
    budget.take(size())
    if (keptCount().steps > toldCount().steps) waitingSince ??= now()
    if (scan.damage.length > 0) onDamage(scan.damage)
  }
  let isLoaded = left.length === 0
  const loadOnce = async (): Promise<void> => {
    if (!isLoaded) await load(left)
    isLoaded = true
  }

  const headOf = (number: number): Buffer => {
    const last = segments.at(-1)
    const head: SegmentHead = {
      ...{version: 1, lane: id, segment: number, first: keptCount(), sent: toldCount(), state},
      ...(last && {after: {segment: last.number, bytes: last.bytes}}),
    }
    return encodeRecord({kind: 'head', head})
  }

  /** Writes records in a file of their own. Nothing has changed when it throws. */
  const begin = async (bodies: Buffer[], count: Count): Promise<void> => {
    const number = lastNumber + 1
    const {bytes, digest} = encodeAll(seed(id, number), [headOf(number), ...bodies])
    await createSegment(path(number), bytes)
    lastNumber = number
    segments.push({number, bytes: bytes.length, first: keptCount()})
    budget.take(bytes.length)
    position ??= {segment: number, offset: 0, digest: seed(id, number), count: keptCount()}
    tail = {segment: number, offset: bytes.length, digest, count}
    isCut = false
    isDirty = false
  }

  const write = async (bodies: Buffer[], count: Count, sync: boolean): Promise<void> => {
    const last = segments.at(-1)
    if (isCut || !last || !tail || last.bytes >= SEGMENT_BYTES) return await begin(bodies, count)
    const {bytes, digest} = encodeAll(tail.digest, bodies)
    if (isDirty) await truncateSegment(path(last.number), last.bytes)
    isDirty = true
    await appendSegment(path(last.number), last.bytes, bytes, sync)
    isDirty = false
    last.bytes += bytes.length
    budget.take(bytes.length)
    tail = {segment: last.number, offset: last.bytes, digest, count}
  }

  /** Those of the batch that may follow, with what they come to. */
  const admit = (batch: Waiting[]) => {
    let next = state
    let count = keptCount()
    let bytes = 0
    const admitted: {waiting: Waiting; count: Count}[] = []
    for (const waiting of batch) {
      const {step, body, reject} = waiting
      try {
        budget.admit(step.kind, bytes + FRAME_BYTES + body.length)
        next = advance(next, step)
      } catch (error) {
        reject(error as SallyportError)
        continue
      }
      bytes += FRAME_BYTES + body.length
      count = countStep(count, step)
      admitted.push({waiting, count})
    }
    return {admitted, state: next, count}
  }

  const drain = async (): Promise<void> => {
    for (let batch = takeBatch(queue); batch.length > 0; batch = takeBatch(queue)) {
      const {admitted, state: next, count} = admit(batch)
      if (admitted.length === 0) continue
      try {
        await write(
          admitted.map(({waiting}) => waiting.body),
          count,
          true,
        )
        state = next
        waitingSince ??= now()
        for (const {waiting, count: kept} of admitted) waiting.resolve(kept.steps)
      } catch (cause) {
        // Where it is not for want of room, the file is not written to again.
        if (!isFull(cause)) isCut = true
        for (const {waiting} of admitted) waiting.reject(writeFailure(cause))
      }
    }
    isDraining = false
  }

  /** How far auth is, for the next process; losing it costs repetition alone, so nobody waits for the disk. */
  const mark = async (): Promise<void> => {
    const sent = toldCount()
    if (sent.steps === marked || isCut || isDirty) return
    await write([encodeRecord({kind: 'sent', sent})], keptCount(), false)
    marked = sent.steps
  }

  const drop = async (count: number): Promise<void> => {
    for (const segment of segments.splice(0, count)) {
      budget.give(segment.bytes)
      await (segment.damaged ? setAside(path(segment.number)) : removeSegment(path(segment.number)))
    }
  }

  /** Gives files up that nobody needs any more. */
  const trim = async (): Promise<void> => {
    const at = segments.findIndex(({number}) => number === position?.segment)
    if (keptCount().steps > toldCount().steps) {
      await drop(Math.max(at, 0))
      if (toldCount().steps - marked >= BATCH_STEPS) await mark()
      return
    }
    waitingSince = undefined
    if (isOpen(state) && size() <= TRIM_BYTES) return await mark()
    const old = segments.length
    // The next process has to know of a session that goes on.
    if (isOpen(state)) await begin([], keptCount())
    position = isOpen(state) && tail ? {...tail} : undefined
    marked = toldCount().steps
    isCut = !isOpen(state)
    await drop(old)
  }

  /** The frames from where auth is, up to what may be told at once; undefined where one is damaged. */
  const read = async (): Promise<Batch | undefined> => {
    const steps: Step[] = []
    let bytes = 0
    for (let place = position; place; ) {
      const {segment, offset} = place
      const at = segments.findIndex(({number}) => number === segment)
      const limit = segments[at]?.bytes ?? 0
      if (offset >= limit) {
        const following = segments[at + 1]
        if (!following || at < 0) return steps.length > 0 ? {steps, after: place} : undefined
        place = {
          ...{segment: following.number, offset: 0},
          ...{digest: seed(id, following.number), count: place.count},
        }
        continue
      }
      for await (const frame of readFrames(path(segment), place, limit)) {
        const record = frame.ok ? decodeRecord(frame.body) : undefined
        if (!frame.ok || !record) throw problem('recording_corrupt', 'the spool is damaged')
        const isStep = record.kind !== 'head' && record.kind !== 'sent'
        if (isStep && steps.length > 0 && record.kind !== 'event') return {steps, after: place}
        const after: Position = {
          ...{segment, offset: frame.end, digest: frame.digest},
          count: countOf(place.count, record),
        }
        place = after
        if (!isStep) continue
        steps.push(record)
        bytes += frame.body.length
        if (record.kind !== 'event' || steps.length >= BATCH_STEPS || bytes >= TELL_BYTES)
          return {steps, after}
      }
    }
    return undefined
  }

  const next = async (): Promise<Batch | undefined> => {
    if (!isLoaded) await inTurn(loadOnce)
    if (keptCount().steps <= toldCount().steps) return undefined
    try {
      return await read()
    } catch (error) {
      if (!isDamage(error)) throw error
      await inTurn(() => load(segments.map(({number}) => number)))
      return await read()
    }
  }

  return {
    id,
    get state() {
      return state
    },
    get kept() {
      return keptCount()
    },
    get told() {
      return toldCount()
    },
    get waitingSince() {
      return waitingSince
    },
    get isGone() {
      return segments.length === 0 && queue.length === 0 && !isDraining && isLoaded
    },
    ready: () => inTurn(loadOnce),
    append: step =>
      new Promise((resolve, reject) => {
        queue.push({step, body: encodeRecord(step), resolve, reject})
        if (isDraining) return
        isDraining = true
        inTurn(async () => {
          await loadOnce()
          await drain()
        }).catch(cause => {
          isDraining = false
          for (const waiting of queue.splice(0)) waiting.reject(writeFailure(cause))
        })
      }),
    next,
    delivered: ({after}) =>
      inTurn(async () => {
        // Where the files were read anew in the meantime, they say where the lane is.
        if (after.count.steps <= toldCount().steps || !segments.some(({number}) => number === after.segment))
          return
        position = after
        // What cannot be given up or noted now is the next time; auth has it, and that is what counts.
        await trim().catch(() => undefined)
      }),
    salvage: () =>
      inTurn(async () => {
        await load(isLoaded ? segments.map(({number}) => number) : left, true)
        isLoaded = true
      }),
    tidy: () => inTurn(() => trim().catch(() => undefined)),
    idle: () => inTurn(async () => undefined),
  }
}

function encodeAll(from: Buffer, bodies: readonly Buffer[]): {bytes: Buffer; digest: Buffer} {
  const frames: Buffer[] = []
  let digest = from
  for (const body of bodies) {
    const frame = encodeFrame(digest, body)
    frames.push(frame.bytes)
    digest = frame.digest
  }
  return {bytes: Buffer.concat(frames), digest}
}

function takeBatch(queue: Waiting[]): Waiting[] {
  let bytes = 0
  let count = 0
  for (const {body} of queue) {
    bytes += body.length
    if (count >= BATCH_STEPS || (count > 0 && bytes > BATCH_BYTES)) break
    count++
  }
  return queue.splice(0, count)
}

/** Runs one job after the other. */
function createTurn() {
  let last: Promise<unknown> = Promise.resolve()
  return <T>(job: () => Promise<T>): Promise<T> => {
    const mine = last.then(job, job)
    last = mine.catch(() => undefined)
    return mine
  }
}

/** Gone, shorter or not what was written: nothing that passes by itself. */
const isDamage = (error: unknown): boolean =>
  (error instanceof SallyportError && error.code === 'recording_corrupt') ||
  (error as NodeJS.ErrnoException).code === 'ENOENT'

const isFull = (error: unknown): boolean =>
  ['ENOSPC', 'EDQUOT'].includes(String((error as NodeJS.ErrnoException).code))

const writeFailure = (cause: unknown): SallyportError =>
  cause instanceof SallyportError
    ? cause
    : problem(
        'store_failed',
        `what waits for the auth service cannot be written: ${systemErrorWords(cause)}`,
        {
          cause,
        },
      )
