import {type AuditEvent, type AuditInput, eventCodes} from './event.js'
import {RECORD_BYTES} from './limits.js'

// Every field comes from outside in some way (a command, a key id, a host name), so each is cut to a size that one
// record, and a person, can bear.

const TEXT_CHARACTERS = 4096
const MAX_ENTRIES = 64
const MAX_DEPTH = 4

type Dropped = undefined

/** `value` as JSON of bounded size: long texts and lists are cut and say so, what JSON cannot hold becomes text. */
export function bounded(value: unknown, depth = 0): unknown {
  switch (typeof value) {
    case 'string':
      return cut(value)
    case 'boolean':
      return value
    case 'number':
      return Number.isFinite(value) ? value : String(value)
    case 'bigint':
      return value.toString()
    case 'object':
      return value === null ? null : boundedObject(value, depth)
    default:
      return undefined satisfies Dropped
  }
}

const cut = (text: string): string =>
  text.length > TEXT_CHARACTERS
    ? `${text.slice(0, TEXT_CHARACTERS)}… (${text.length - TEXT_CHARACTERS} more characters)`
    : text

function boundedObject(value: object, depth: number): unknown {
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? 'invalid date' : value.toISOString()
  if (value instanceof Uint8Array)
    return cut(Buffer.from(value.subarray(0, TEXT_CHARACTERS)).toString('base64'))
  if (depth >= MAX_DEPTH) return '…'
  if (Array.isArray(value)) {
    const kept: unknown[] = value.slice(0, MAX_ENTRIES).map(item => bounded(item, depth + 1) ?? null)
    return value.length > MAX_ENTRIES ? [...kept, `… (${value.length - MAX_ENTRIES} more)`] : kept
  }
  const entries = Object.entries(value)
    .slice(0, MAX_ENTRIES)
    .map(([key, item]) => [key.slice(0, 128), bounded(item, depth + 1)])
  return Object.fromEntries(entries.filter(([, item]) => item !== undefined))
}

/** An event that is older than this when it comes to the log is late, and says when it came. */
export const LATE_MS = 60_000

export interface RecordFacts {
  seq: number
  prev: string
  ei: number
  uid: string
  /** When it happened, Unix ms. */
  time: number
  /** When it came, Unix ms. */
  received: number
  clusterName: string
}

/**
 * The record of an event and its line, without a line break. Fields of the kind of event never replace the common
 * ones; a record above RECORD_BYTES loses its own fields and says so.
 */
export function buildRecord(input: AuditInput, facts: RecordFacts): {event: AuditEvent; line: string} {
  const {fields = {}, event: name, success: given, uid: _uid, time: _time, ...common} = input
  const codes: {ok?: string; failed?: string} = eventCodes[name]
  // Some events have one outcome only; that code then stands for both.
  const success = given ?? codes.ok !== undefined
  const code = (success ? (codes.ok ?? codes.failed) : (codes.failed ?? codes.ok)) ?? ''
  const {seq, prev, ei, uid, clusterName} = facts
  const base: AuditEvent = {
    seq,
    prev,
    ei,
    event: name,
    uid,
    code,
    time: new Date(facts.time).toISOString(),
    ...(facts.received - facts.time > LATE_MS && {received: new Date(facts.received).toISOString()}),
    cluster_name: clusterName,
    success,
    ...(bounded(common) as object),
  }
  const own = Object.entries(bounded(fields) as object).filter(([key]) => !reserved.has(key))
  const event: AuditEvent = {...base, ...Object.fromEntries(own)}
  const line = JSON.stringify(event)
  if (Buffer.byteLength(line) <= RECORD_BYTES) return {event, line}
  const short: AuditEvent = {...base, fields_dropped: `${own.length} fields, too large for a record`}
  const shortLine = JSON.stringify(short)
  if (Buffer.byteLength(shortLine) <= RECORD_BYTES) return {event: short, line: shortLine}
  const least = withoutLength(short)
  return {event: least, line: JSON.stringify(least)}
}

/** What nobody makes in good faith: common fields that are too large together. Their beginnings stay, and no labels. */
function withoutLength({server_labels: _, ...event}: AuditEvent): AuditEvent {
  const shorter = Object.entries(event).map(([key, value]) => [
    key,
    typeof value === 'string' && value.length > LEAST_CHARACTERS
      ? `${value.slice(0, LEAST_CHARACTERS)}…`
      : value,
  ])
  return Object.fromEntries(shorter)
}

/** Even where each is six bytes of JSON, a record of such texts is a record. */
const LEAST_CHARACTERS = 512

const reserved = new Set([
  'seq',
  'prev',
  'ei',
  'event',
  'uid',
  'code',
  'time',
  'received',
  'cluster_name',
  'success',
  'error',
  'user',
  'login',
  'sid',
  'server_id',
  'server_hostname',
  'server_addr',
  'server_labels',
  'forwarded_by',
  'reported_by',
  'addr.local',
  'addr.remote',
  'proto',
  '__proto__',
])

/** A line as a record; undefined for what is none. */
export function parseRecord(line: Buffer): AuditEvent | undefined {
  try {
    const value: unknown = JSON.parse(line.toString('utf8'))
    return isRecord(value) ? value : undefined
  } catch {
    // Not JSON is not a record: the answer, not an error.
    return undefined
  }
}

function isRecord(value: unknown): value is AuditEvent {
  if (typeof value !== 'object' || value === null) return false
  const {seq, prev, ei, event, time, sid} = value as Partial<Record<keyof AuditEvent, unknown>>
  return (
    Number.isSafeInteger(seq) &&
    Number.isSafeInteger(ei) &&
    [prev, event, time].every(field => typeof field === 'string') &&
    (sid === undefined || typeof sid === 'string')
  )
}
