import {gzipSync} from 'node:zlib'
import {z} from 'zod'
import {problem} from '../../errors/index.js'
import {metaSchema} from '../meta.js'
import type {RecordingChunk, RecordingEnd, RecordingMeta} from '../types.js'
import {eventLine, SEAL_CODE} from './asciicast.js'

// The sidecar index: JSON lines. First the meta, then a line a chunk, last the seal. docs/recording-format.md

export interface IndexChunk {
  seq: number
  /** Milliseconds since the start of the first and last event. */
  first: number
  last: number
  offset: number
  length: number
  /** Hex sha256(previous digest ‖ gzip member). */
  sha256: string
}

/** The end record with the signature of the cluster's recording key over it, base64. */
export interface RecordingSeal extends RecordingEnd {
  signature: string
}

export interface RecordingIndex {
  meta: RecordingMeta
  chunks: IndexChunk[]
  /** Absent while the session runs and when the recording was cut short. */
  seal?: RecordingSeal
  /** Bytes after the last whole line: what a crash left of a line. */
  tornBytes: number
}

const FORMAT = 'sallyport-recording-index'
/** Longest reason for an end before its time. */
export const REASON_CHARACTERS = 256
const count = z.number().int().nonnegative()
const digest = z.string().regex(/^[0-9a-f]{64}$/)

const firstLine = z.object({format: z.literal(FORMAT), version: z.literal(1), meta: metaSchema})
const chunkLine = z.object({
  seq: count,
  first: count,
  last: count,
  offset: count,
  length: count.positive(),
  sha256: digest,
})
export const sealSchema = z.object({
  endedAt: count,
  durationMs: count,
  chunks: count.positive(),
  head: digest,
  truncated: z.string().min(1).max(REASON_CHARACTERS).exactOptional(),
  signature: z.string().max(4096),
})
const sealLine = z.object({end: sealSchema})

export const formatFirstLine = (meta: RecordingMeta): string =>
  `${JSON.stringify({format: FORMAT, version: 1, meta})}\n`

export const formatChunkLine = (
  {sequence, firstMs, lastMs, data, digest: sha256}: RecordingChunk,
  offset: number,
): string =>
  `${JSON.stringify({seq: sequence, first: firstMs, last: lastMs, offset, length: data.length, sha256})}\n`

export const formatSealLine = (end: RecordingSeal): string => `${JSON.stringify({end})}\n`

/** The last gzip member of a sealed recording: the seal again, so that the file can be verified by itself. */
export const sealMember = (seal: RecordingSeal): Buffer =>
  gzipSync(eventLine(seal.durationMs, SEAL_CODE, JSON.stringify(seal)), {level: 1})

/** The meta of an index's first line; throws `recording_corrupt`. */
export const parseFirstLine = (line: string): RecordingMeta => parseLine(line, 1, firstLine).meta

/** A later line of an index: a chunk, or the seal. Throws `recording_corrupt`. */
export const parseLaterLine = (line: string, number: number): IndexChunk | {end: RecordingSeal} =>
  parseLine(line, number, z.union([chunkLine, sealLine]))

/** A whole index. A torn last line is left out and counted; anything else amiss throws `recording_corrupt`. */
export function parseIndex(bytes: Buffer): RecordingIndex {
  const end = bytes.lastIndexOf(0x0a) + 1
  const [first = '', ...rest] = bytes.toString('utf8', 0, Math.max(0, end - 1)).split('\n')
  const index: RecordingIndex = {meta: parseFirstLine(first), chunks: [], tornBytes: bytes.length - end}
  rest.forEach((line, at) => {
    const entry = parseLaterLine(line, at + 2)
    if (index.seal) throw badLine(at + 2, 'comes after the end record')
    if ('end' in entry) index.seal = entry.end
    else if (entry.seq === index.chunks.length) index.chunks.push(entry)
    else throw badLine(at + 2, `is of chunk ${entry.seq} where chunk ${index.chunks.length} belongs`)
  })
  return index
}

const badLine = (number: number, why: string, cause?: unknown) =>
  problem('recording_corrupt', `line ${number} of the recording's index ${why}`, {cause})

function parseLine<T>(line: string, number: number, schema: z.ZodType<T>): T {
  let value: unknown
  try {
    value = JSON.parse(line)
  } catch (cause) {
    throw badLine(number, 'is not JSON', cause)
  }
  const parsed = schema.safeParse(value)
  if (!parsed.success) throw badLine(number, 'is not what belongs there', parsed.error)
  return parsed.data
}
