import {z} from 'zod'
import {problem} from '../errors/index.js'
import type {RecordingEnd, RecordingMeta} from '../recording/index.js'
import {BODY_BYTES} from './frames.js'
import type {SegmentHead, SpooledEvent, SpoolRecord} from './types.js'

// The body of a frame: a byte that says what it is, then JSON; of a chunk the length of the JSON (u32) before it, and
// the gzip member behind.

const kinds = ['head', 'sent', 'event', 'begin', 'chunk', 'seal'] as const

/** Longest JSON; the log cuts an event to far less, and a call to auth may be of a megabyte. */
const JSON_BYTES = 512 * 1024

/** @throws invalid_input for what is too large to be kept */
export function encodeRecord(record: SpoolRecord): Buffer {
  const kind = Buffer.from([kinds.indexOf(record.kind)])
  if (record.kind !== 'chunk') return Buffer.concat([kind, json(payloadOf(record))])
  const {data, ...facts} = record.chunk
  const text = json(facts)
  const length = Buffer.alloc(4)
  length.writeUInt32BE(text.length)
  if (data.length + text.length + 5 > BODY_BYTES) throw tooLarge()
  return Buffer.concat([kind, length, text, data])
}

function payloadOf(record: Exclude<SpoolRecord, {kind: 'chunk'}>): unknown {
  switch (record.kind) {
    case 'head':
      return record.head
    case 'sent':
      return record.sent
    case 'event':
      return record.input
    case 'begin':
      return record.meta
    case 'seal':
      return record.end
  }
}

function json(value: unknown): Buffer {
  const bytes = Buffer.from(JSON.stringify(value))
  if (bytes.length > JSON_BYTES) throw tooLarge()
  return bytes
}

const tooLarge = () => problem('invalid_input', 'what has to be kept for the auth service is too large')

/** Undefined for what is no record of ours. */
export function decodeRecord(body: Buffer): SpoolRecord | undefined {
  const kind = kinds[body[0] ?? -1]
  try {
    if (kind === 'chunk') return decodeChunk(body)
    if (kind === undefined || body.length > JSON_BYTES + 1) return undefined
    const value: unknown = JSON.parse(body.toString('utf8', 1))
    switch (kind) {
      case 'head':
        return {kind, head: headSchema.parse(value) as unknown as SegmentHead}
      case 'sent':
        return {kind, sent: countSchema.parse(value)}
      case 'event':
        return {kind, input: eventSchema.parse(value) as SpooledEvent}
      case 'begin':
        return {kind, meta: metaSchema.parse(value) as unknown as RecordingMeta}
      case 'seal':
        return {kind, end: endSchema.parse(value) as RecordingEnd}
    }
  } catch {
    // Not JSON, or not with these fields: no record, which is the answer.
    return undefined
  }
}

function decodeChunk(body: Buffer): SpoolRecord | undefined {
  if (body.length < 5) return undefined
  const length = body.readUInt32BE(1)
  if (length > body.length - 5 || length > JSON_BYTES) return undefined
  const facts = chunkSchema.parse(JSON.parse(body.toString('utf8', 5, 5 + length)))
  return {kind: 'chunk', chunk: {...facts, data: body.subarray(5 + length)}}
}

// Only what is looked at here: the auth service checks the rest as it does for everybody.
const count = z.number().int().nonnegative()
const countSchema = z.strictObject({steps: count, events: count})
const eventSchema = z.looseObject({
  event: z.string(),
  uid: z.string(),
  time: z.number(),
  sid: z.string().optional(),
})
const metaSchema = z.looseObject({sid: z.string(), startedAt: z.number()})
const chunkSchema = z.strictObject({sequence: count, firstMs: count, lastMs: count, digest: z.string()})
const endSchema = z.looseObject({
  endedAt: z.number(),
  durationMs: z.number(),
  chunks: count,
  head: z.string(),
})
const stateSchema = z.strictObject({
  meta: metaSchema.optional(),
  chunks: count,
  head: z.string(),
  lastMs: count,
  sealed: z.boolean(),
  uploaded: z.boolean(),
  start: eventSchema.optional(),
  open: z.array(eventSchema).optional(),
  joined: z.array(z.string()).optional(),
  ended: z.boolean(),
})
const headSchema = z.strictObject({
  version: z.literal(1),
  lane: z.string(),
  segment: count,
  first: countSchema,
  sent: countSchema,
  state: stateSchema,
  after: z.strictObject({segment: count, bytes: count}).optional(),
})
