import {encodeFrame, seed} from './frames.js'
import {keptCount, type LaneFiles, pathOf, toldCount} from './lane-files.js'
import {encodeRecord} from './records.js'
import {appendSegment, createSegment, truncateSegment} from './segment-file.js'
import type {Count, SegmentHead} from './types.js'

/** A file is closed at this size. */
const SEGMENT_BYTES = 4 * 1024 * 1024

/** Puts records behind those that a lane has. Nothing has changed when it throws. */
export interface LaneWriter {
  /** Whether the last file may be written to as it is. */
  readonly isClean: boolean
  /** @param count steps kept with these @param sync whether they have to survive the loss of power */
  write(bodies: readonly Buffer[], count: Count, sync: boolean): Promise<void>
  /** The same, in a file of their own. */
  begin(bodies: readonly Buffer[], count: Count): Promise<void>
  /** What is written next begins a file. */
  cut(): void
  /** The files were read anew. @param highest the number of the last file there ever was */
  reset(highest: number, isCut: boolean): void
}

export function createLaneWriter(files: LaneFiles): LaneWriter {
  let lastNumber = 0
  /** Where a write has to begin with a file of its own. */
  let isCut = true
  /** A failed write may have left something behind the end of the last file. */
  let isDirty = false

  const begin = async (bodies: readonly Buffer[], count: Count): Promise<void> => {
    const number = lastNumber + 1
    const from = seed(files.id, number)
    const {bytes, digest} = encodeAll(from, [headOf(files, number), ...bodies])
    await createSegment(pathOf(files, number), bytes)
    lastNumber = number
    const first = keptCount(files)
    files.segments.push({number, bytes: bytes.length, first})
    files.budget.take(bytes.length)
    files.position ??= {segment: number, offset: 0, digest: from, count: first}
    files.tail = {segment: number, offset: bytes.length, digest, count}
    isCut = false
    isDirty = false
  }

  return {
    get isClean() {
      return !isCut && !isDirty
    },
    begin,
    async write(bodies, count, sync) {
      const {segments, tail} = files
      const last = segments.at(-1)
      if (isCut || !last || !tail || last.bytes >= SEGMENT_BYTES) return await begin(bodies, count)
      const {bytes, digest} = encodeAll(tail.digest, bodies)
      const path = pathOf(files, last.number)
      if (isDirty) await truncateSegment(path, last.bytes)
      isDirty = true
      await appendSegment(path, last.bytes, bytes, sync)
      isDirty = false
      last.bytes += bytes.length
      files.budget.take(bytes.length)
      files.tail = {segment: last.number, offset: last.bytes, digest, count}
    },
    cut() {
      isCut = true
    },
    reset(highest, cut) {
      lastNumber = Math.max(lastNumber, highest)
      isCut = cut
      isDirty = false
    },
  }
}

/** The first record of a file, from which the lane can be understood without the files before it. */
function headOf(files: LaneFiles, number: number): Buffer {
  const last = files.segments.at(-1)
  const head: SegmentHead = {
    ...{version: 1, lane: files.id, segment: number, state: files.state},
    ...{first: keptCount(files), sent: toldCount(files)},
    ...(last && {after: {segment: last.number, bytes: last.bytes}}),
  }
  return encodeRecord({kind: 'head', head})
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
