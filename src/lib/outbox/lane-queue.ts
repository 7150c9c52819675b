import {isFull, systemErrorWords} from '../durable/index.js'
import {asProblem, problem, SallyportError} from '../errors/index.js'
import type {Turn} from '../waiting/index.js'
import {FRAME_BYTES} from './frames.js'
import {keptCount, type LaneFiles} from './lane-files.js'
import {advance, countStep} from './lane-state.js'
import type {LaneWriter} from './lane-writer.js'
import {encodeRecord} from './records.js'
import type {Count, LaneState, Step} from './types.js'

/** Most that is written at once. */
const BATCH_STEPS = 256
const BATCH_BYTES = 8 * 1024 * 1024

interface Waiting {
  step: Step
  body: Buffer
  resolve: (steps: number) => void
  reject: (error: SallyportError) => void
}

/** Steps on their way to the disk: those that come while it writes are written together. */
export interface LaneQueue {
  readonly isEmpty: boolean
  /** Resolves with the steps kept when this one is durable, those before it included. */
  append(step: Step): Promise<number>
}

/** @param ready what has to be done in the same turn before the first is written */
export function createLaneQueue(
  files: LaneFiles,
  writer: LaneWriter,
  inTurn: Turn,
  ready: () => Promise<void>,
): LaneQueue {
  const queue: Waiting[] = []
  let isDraining = false

  const drain = async (): Promise<void> => {
    await ready()
    for (let batch = takeBatch(queue); batch.length > 0; batch = takeBatch(queue))
      await writeBatch(files, writer, batch)
    isDraining = false
  }

  return {
    get isEmpty() {
      return queue.length === 0 && !isDraining
    },
    append: step =>
      new Promise((resolve, reject) => {
        queue.push({step, body: encodeRecord(step), resolve, reject})
        if (isDraining) return
        isDraining = true
        inTurn(drain).catch(cause => {
          isDraining = false
          for (const waiting of queue.splice(0)) waiting.reject(writeFailure(cause))
        })
      }),
  }
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

async function writeBatch(files: LaneFiles, writer: LaneWriter, batch: readonly Waiting[]): Promise<void> {
  const {admitted, state, count} = admit(files, batch)
  if (admitted.length === 0) return
  const bodies = admitted.map(({waiting}) => waiting.body)
  try {
    await writer.write(bodies, count, true)
  } catch (cause) {
    // Where it is not for want of room, the file is not written to again.
    if (!isFull(cause)) writer.cut()
    for (const {waiting} of admitted) waiting.reject(writeFailure(cause))
    return
  }
  files.state = state
  files.waitingSince ??= files.now()
  for (const {waiting, kept} of admitted) waiting.resolve(kept)
}

interface Admitted {
  admitted: {waiting: Waiting; kept: number}[]
  state: LaneState
  count: Count
}

/** Those of the batch that may follow, with what they come to. */
function admit(files: LaneFiles, batch: readonly Waiting[]): Admitted {
  let {state} = files
  let count = keptCount(files)
  let bytes = 0
  const admitted: Admitted['admitted'] = []
  for (const waiting of batch) {
    const {step, body, reject} = waiting
    try {
      files.budget.admit(step.kind, bytes + FRAME_BYTES + body.length)
      state = advance(state, step)
    } catch (error) {
      reject(asProblem(error))
      continue
    }
    bytes += FRAME_BYTES + body.length
    count = countStep(count, step)
    admitted.push({waiting, kept: count.steps})
  }
  return {admitted, state, count}
}

function writeFailure(cause: unknown): SallyportError {
  if (cause instanceof SallyportError) return cause
  const words = systemErrorWords(cause)
  return problem('store_failed', `what waits for the auth service cannot be written: ${words}`, {cause})
}
