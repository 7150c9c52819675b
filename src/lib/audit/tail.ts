import {readFile, stat, truncate} from 'node:fs/promises'
import {problem} from '../errors/index.js'
import type {AuditEvent} from './event.js'
import {GENESIS, type LogFile, readLinesBackward, recordHash} from './files.js'

/** The end of the chain: the sequence of the last record (0: none yet) and its hash. */
export interface ChainHead {
  sequence: number
  hash: string
}

export interface LogTail {
  head: ChainHead
  /** The file that is written to, and where its last whole record ends. */
  active?: {file: LogFile; size: number}
  /** What was cut off. */
  torn?: Buffer
  /** Next index of the events of each session met in the last records. */
  nextIndex: Map<string, number>
}

/** Most that a crash can leave behind the last acknowledged record: one batch. More damage is not a crash's. */
const TORN_BYTES = 4 * 1024 * 1024
const INDEX_WINDOW = 1024 * 1024

/**
 * Finds the end of the chain and cuts off what a crash left after it: records that were never acknowledged.
 * Throws `audit_corrupt` when there is more of it than one batch.
 */
export async function recoverTail(files: LogFile[]): Promise<LogTail> {
  const tail: LogTail = {head: {sequence: 0, hash: GENESIS}, nextIndex: new Map()}
  const torn: Buffer[] = []
  for (const file of files.toReversed()) {
    const {head, end, size, nextIndex} = await lastRecord(file)
    if (size > end) {
      torn.unshift(await cutOff(file, end))
      tail.torn = Buffer.concat(torn)
    }
    tail.active ??= {file, size: end}
    if (!head) continue
    return {...tail, head, nextIndex}
  }
  return tail
}

async function lastRecord(file: LogFile) {
  const {size} = await stat(file.path)
  const nextIndex = new Map<string, number>()
  let head: ChainHead | undefined
  let end = 0
  for await (const {bytes, offset} of readLinesBackward(file.path, size)) {
    const record = parseRecord(bytes)
    if (!head && record) {
      head = {sequence: record.seq, hash: recordHash(bytes)}
      end = offset + bytes.length + 1
    }
    if (record?.sid !== undefined && !nextIndex.has(record.sid)) nextIndex.set(record.sid, record.ei + 1)
    if (size - offset > (head ? INDEX_WINDOW : TORN_BYTES)) break
  }
  return {head, end, size, nextIndex}
}

async function cutOff(file: LogFile, end: number): Promise<Buffer> {
  const bytes = (await readFile(file.path)).subarray(end)
  if (bytes.length > TORN_BYTES)
    throw problem(
      'audit_corrupt',
      `the audit log is damaged: no record can be read at the end of ${file.name}`,
      {
        hint: 'see where with `sallyport audit verify`, and move that file away to start a new log',
      },
    )
  await truncate(file.path, end)
  return Buffer.from(bytes)
}

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
