import {lstat, rm} from 'node:fs/promises'
import {basename} from 'node:path'
import {systemErrorWords} from '../durable/index.js'
import {seed} from './frames.js'
import {advance, countStep, emptyState, noCount} from './lane-state.js'
import {decodeRecord} from './records.js'
import {readFrames, segmentPath, setAside, truncateSegment} from './segment-file.js'
import type {Count, Damage, LaneState, SegmentHead} from './types.js'

/** A file of a lane, as far as it is good. */
export interface Segment {
  number: number
  bytes: number
  /** What came before it. */
  first: Count
  /** The file is damaged behind that: it is set aside instead of removed when the good part is delivered. */
  damaged?: true
}

/** Where a record begins, and the steps before it. */
export interface Position {
  segment: number
  offset: number
  digest: Buffer
  count: Count
}

/** What the files of a lane hold. */
export interface ScannedLane {
  segments: Segment[]
  /** After the last good record; undefined where there is none. */
  tail?: Position
  state: LaneState
  /** What auth is known to have. */
  sent: Count
  /** What follows the first bad place has no order any more: the lane goes on in a file of its own. */
  damage: Damage[]
}

/**
 * Reads every record of a lane, cuts off what a crash left of one, and sets aside what is damaged. May be cut off itself
 * at any point and done again.
 * @param salvage what the disk does not give is damage as well, instead of an error
 */
export async function scanLane(
  directory: string,
  lane: string,
  numbers: readonly number[],
  salvage = false,
): Promise<ScannedLane> {
  const scan: ScannedLane = {segments: [], state: emptyState, sent: noCount, damage: []}
  for (const [at, number] of numbers.entries()) {
    const path = segmentPath(directory, lane, number)
    const isLast = at === numbers.length - 1
    const broken = await readSegment(scan, {path, lane, number, isLast, salvage})
    if (!broken) continue
    // A file that goes on behind the good part was made when this damage was met before.
    const next = numbers[at + 1]
    if (next !== undefined && (await goesOn(directory, lane, next, broken).catch(unless(salvage)))) continue
    const {good, reason, size: bytes} = broken
    scan.damage.push({lane, file: `${basename(path)}.damaged`, good, bytes, reason})
    for (const lost of numbers.slice(at + 1))
      scan.damage.push(await setAsideWhole(lane, segmentPath(directory, lane, lost)))
    break
  }
  return scan
}

interface Broken {
  number: number
  good: number
  size: number
  reason: string
}

interface SegmentPlace {
  path: string
  lane: string
  number: number
  isLast: boolean
  salvage: boolean
}

/** False instead of an error of the disk, where that is what is asked for. */
const unless =
  (salvage: boolean) =>
  (error: unknown): false => {
    if (salvage) return false
    throw error
  }

/** Takes a file in, up to what is bad in it. */
async function readSegment(
  scan: ScannedLane,
  {path, lane, number, isLast, salvage}: SegmentPlace,
): Promise<Broken | undefined> {
  const before = scan.tail
  let place: Position = {segment: number, offset: 0, digest: seed(lane, number), count: noCount}
  let first = before?.count ?? noCount
  let broken: Broken | undefined
  const bad = (reason: string, size = 0): Broken => ({number, good: place.offset, size, reason})
  try {
    for await (const frame of readFrames(path, place)) {
      if (!frame.ok && frame.torn && isLast) {
        // Nothing of it was acknowledged.
        if (place.offset > 0) await truncateSegment(path, place.offset)
        break
      }
      if (!frame.ok) {
        broken = bad(frame.reason, frame.size)
        break
      }
      const record = decodeRecord(frame.body)
      const reason = take(scan, record, {place, before, lane, number})
      if (reason !== undefined) {
        broken = bad(reason, await sizeOf(path))
        break
      }
      if (record?.kind === 'head') first = record.head.first
      const count = record?.kind === 'head' ? first : countOf(place.count, record)
      place = {segment: number, offset: frame.end, digest: frame.digest, count}
    }
  } catch (error) {
    if (!salvage) throw error
    broken = bad(`it cannot be read: ${systemErrorWords(error)}`, await sizeOf(path))
  }
  if (place.offset > 0 || broken) {
    scan.tail = place.offset > 0 ? place : {...place, count: first}
    scan.segments.push({number, bytes: place.offset, first, ...(broken && {damaged: true as const})})
  } else {
    // Made, and not written when the process ended.
    await rm(path, {force: true})
  }
  return broken
}

const sizeOf = async (path: string): Promise<number> => (await lstat(path)).size

type Decoded = ReturnType<typeof decodeRecord>

/** The steps after a record. */
export const countOf = (count: Count, record: Decoded): Count =>
  record === undefined || record.kind === 'head' || record.kind === 'sent' ? count : countStep(count, record)

/** Takes a record in; answers why it cannot be one. */
function take(
  scan: ScannedLane,
  record: Decoded,
  {
    place,
    before,
    lane,
    number,
  }: {place: Position; before: Position | undefined; lane: string; number: number},
): string | undefined {
  if (record === undefined) return 'a record cannot be read'
  if ((place.offset === 0) !== (record.kind === 'head')) return 'its first record is in another place'
  switch (record.kind) {
    case 'head': {
      const reason = headReason(record.head, before, lane, number)
      if (reason !== undefined) return reason
      scan.state = record.head.state
      scan.sent = later(scan.sent, record.head.sent)
      return undefined
    }
    case 'sent':
      scan.sent = later(scan.sent, record.sent)
      return undefined
    default:
      try {
        scan.state = advance(scan.state, record)
        return undefined
      } catch {
        // Whole, and yet no next step of this session: nothing that we wrote.
        return 'a record is not the next one'
      }
  }
}

const later = (a: Count, b: Count): Count => (b.steps > a.steps ? b : a)

function headReason(
  head: SegmentHead,
  before: Position | undefined,
  lane: string,
  number: number,
): string | undefined {
  if (head.lane !== lane || head.segment !== number) return 'it is another file'
  if (before && (head.after?.segment !== before.segment || head.after.bytes !== before.offset))
    return 'the file before it is not as long as it was'
  return undefined
}

async function goesOn(directory: string, lane: string, next: number, broken: Broken): Promise<boolean> {
  const path = segmentPath(directory, lane, next)
  for await (const frame of readFrames(path, {offset: 0, digest: seed(lane, next)})) {
    const record = frame.ok ? decodeRecord(frame.body) : undefined
    const after = record?.kind === 'head' ? record.head.after : undefined
    return after?.segment === broken.number && after.bytes === broken.good
  }
  return false
}

async function setAsideWhole(lane: string, path: string): Promise<Damage> {
  const bytes = await sizeOf(path)
  return {lane, file: await setAside(path), good: 0, bytes, reason: 'the file before it is damaged'}
}

/** Where the first step begins that auth may not have. */
export async function findPosition(
  directory: string,
  lane: string,
  segments: readonly Segment[],
  sent: Count,
): Promise<Position | undefined> {
  const segment = segments.findLast(({first}) => first.steps <= sent.steps) ?? segments[0]
  if (!segment) return undefined
  const {number, first, bytes} = segment
  let place: Position = {segment: number, offset: 0, digest: seed(lane, number), count: first}
  for await (const frame of readFrames(segmentPath(directory, lane, number), place, bytes)) {
    if (place.count.steps >= sent.steps || !frame.ok) break
    const count = countOf(place.count, decodeRecord(frame.body))
    place = {segment: number, offset: frame.end, digest: frame.digest, count}
  }
  return place
}
