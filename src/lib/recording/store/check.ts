import type {KeyObject} from 'node:crypto'
import {stat} from 'node:fs/promises'
import {isMissing} from '../../durable/index.js'
import {asProblem, SallyportError} from '../../errors/index.js'
import {type Tombstone, tombstoneFault} from '../evidence/tombstone.js'
import {type RecordingVerdict, verifyRecording} from '../evidence/verify.js'
import type {RecordingMeta} from '../types.js'
import {
  isRemoved,
  listDays,
  listRecordingsOf,
  listRemovedOf,
  type RecordingPaths,
  readRange,
} from './files.js'
import {readHold} from './hold.js'
import {readIndexFile} from './live-recording.js'
import {readTombstone, readTombstoneText} from './removal.js'

/** One thing that is in a store, verified by itself. */
export type StoreFinding =
  | {
      kind: 'recording'
      sid: string
      verdict: RecordingVerdict
      /** Absent where the index cannot be read. */
      meta?: RecordingMeta
      held: boolean
      /** A removal of it was decided and signed, and the service had not come to its tombstone yet. */
      removing: boolean
    }
  /** `fault`: why it is not the tombstone that it should be; then nothing that it says counts. */
  | {kind: 'tombstone'; sid: string; tombstone?: Tombstone; fault?: string}

/**
 * Verifies everything in the directory of a store, or all that is there of one session, oldest day first. Only reads: the
 * service may run meanwhile. Errors of the disk are thrown, damage is an answer.
 */
export async function* checkStore(
  directory: string,
  keys: KeyObject[],
  only?: string,
): AsyncGenerator<StoreFinding> {
  const counts = ({sid}: RecordingPaths): boolean => only === undefined || sid === only
  for (const day of (await listDays(directory)).reverse()) {
    for (const {paths} of await listRemovedOf(day)) if (counts(paths)) yield await checkTombstone(paths, keys)
    for (const paths of (await listRecordingsOf(day)).filter(counts)) {
      const finding = await checkRecording(paths, keys)
      // One that was removed while it was read is what its tombstone says.
      yield (await isRemoved(paths)) ? await checkTombstone(paths, keys) : finding
    }
  }
}

async function checkTombstone(paths: RecordingPaths, keys: KeyObject[]): Promise<StoreFinding> {
  const {sid} = paths
  try {
    const {text, tombstone} = await readTombstone(paths)
    const fault = tombstoneFault(text, keys, sid)
    return {kind: 'tombstone', sid, ...(fault === undefined ? {tombstone} : {fault})}
  } catch (error) {
    return {kind: 'tombstone', sid, fault: damage(error)}
  }
}

async function checkRecording(paths: RecordingPaths, keys: KeyObject[]): Promise<StoreFinding> {
  const {sid} = paths
  const held = (await readHold(paths)) !== undefined
  const removing = await isDecided(paths, keys)
  try {
    // The index comes first: what the data file has beyond it is being written.
    const index = await readIndexFile(paths)
    const {meta, chunks, seal, tornBytes} = index
    const size = await dataSize(paths, index.seal === undefined)
    const named = chunks.at(-1)
    const end = seal ? size : Math.min(size, named ? named.offset + named.length : 0)
    const data = readRange(paths.data, 0, end)
    const whole = {meta, chunks, tornBytes, ...(seal && {seal})}
    return {
      ...{kind: 'recording', sid, meta, held, removing},
      verdict: end === 0 ? empty(sid) : await verifyRecording({data, keys, index: whole, sid}),
    }
  } catch (error) {
    return {kind: 'recording', sid, held, removing, verdict: {result: 'bad', reason: damage(error)}}
  }
}

/** What cannot be read, or was not signed, decides nothing. */
const isDecided = (paths: RecordingPaths, keys: KeyObject[]): Promise<boolean> =>
  readTombstoneText(paths, 'removing').then(
    text => tombstoneFault(text, keys, paths.sid) === undefined,
    () => false,
  )

/** A recording that has only begun, with nothing to verify yet. */
const empty = (sid: string): RecordingVerdict => ({result: 'unsealed', sid, chunks: 0, head: ''})

/** Bytes of the data file; one that has only begun may have none. */
const dataSize = async ({data}: RecordingPaths, begun: boolean): Promise<number> =>
  await stat(data).then(
    ({size}) => size,
    error => {
      if (begun && isMissing(error)) return 0
      throw error
    },
  )

/** What is wrong with a file, in words. Throws what is wrong with the machine instead. */
function damage(error: unknown): string {
  if (error instanceof SallyportError && error.code === 'recording_corrupt') return error.message
  if (isMissing(error)) return 'its data is missing'
  if (asProblem(error).code === 'store_failed') return asProblem(error).message
  throw error
}
