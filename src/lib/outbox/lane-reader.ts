import {problem} from '../errors/index.js'
import {seed} from './frames.js'
import {type LaneFiles, pathOf} from './lane-files.js'
import {decodeRecord} from './records.js'
import {countOf, type Position} from './scan.js'
import {readFrames} from './segment-file.js'
import type {Step} from './types.js'

/** Most events that are told at once, up to this size, and the one that passes it. */
const TELL_STEPS = 256
const TELL_BYTES = 256 * 1024

/** Steps in their order that auth is told next: one of a recording, or events. */
export interface Batch {
  steps: Step[]
  after: Position
}

/**
 * What auth is told next; undefined where there is nothing.
 * @throws recording_corrupt where it is not what was written, and what the disk says
 */
export async function readBatch(files: LaneFiles): Promise<Batch | undefined> {
  const steps: Step[] = []
  let bytes = 0
  for (let place = files.position; place; ) {
    const {segment, offset} = place
    const limit = files.segments.find(({number}) => number === segment)?.bytes ?? 0
    if (offset >= limit) {
      const next = beginningOfNext(files, place)
      if (!next) return steps.length > 0 ? {steps, after: place} : undefined
      place = next
      continue
    }
    for await (const {step, size, after} of readSteps(files, place, limit)) {
      if (step && steps.length > 0 && step.kind !== 'event') return {steps, after: place}
      place = after
      if (!step) continue
      steps.push(step)
      bytes += size
      if (step.kind !== 'event' || steps.length >= TELL_STEPS || bytes >= TELL_BYTES) return {steps, after}
    }
  }
  return undefined
}

function beginningOfNext({id, segments}: LaneFiles, {segment, count}: Position): Position | undefined {
  const at = segments.findIndex(({number}) => number === segment)
  const next = at < 0 ? undefined : segments[at + 1]
  return next && {segment: next.number, offset: 0, digest: seed(id, next.number), count}
}

/** The records of one file from a place on, those that are no steps as well. */
async function* readSteps(
  files: LaneFiles,
  from: Position,
  limit: number,
): AsyncGenerator<{step: Step | undefined; size: number; after: Position}> {
  let {count} = from
  for await (const frame of readFrames(pathOf(files, from.segment), from, limit)) {
    const record = frame.ok ? decodeRecord(frame.body) : undefined
    if (!frame.ok || !record) throw problem('recording_corrupt', 'the spool is damaged')
    count = countOf(count, record)
    const step = record.kind === 'head' || record.kind === 'sent' ? undefined : record
    const after = {segment: from.segment, offset: frame.end, digest: frame.digest, count}
    yield {step, size: frame.body.length, after}
  }
}
