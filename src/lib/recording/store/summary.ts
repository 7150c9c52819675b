import {constants} from 'node:fs'
import type {FileHandle} from 'node:fs/promises'
import {stat} from 'node:fs/promises'
import {problem} from '../../errors/index.js'
import {parseFirstLine, parseLaterLine} from '../format/index-file.js'
import type {RecordingMeta, RecordingSummary} from '../types.js'
import {openRegular, type RecordingPaths} from './files.js'

/** The first line with the longest command, every character of it escaped, fits. */
const FIRST_LINE_BYTES = 512 * 1024
const HEAD_BYTES = 4096
/** Two lines of the end fit. */
const TAIL_BYTES = 12 * 1024

/** A summary travels in a header of HTTP, whose size is bounded. */
const COMMAND_CHARACTERS = 512

/** What a list shows of a recording, from the ends of its index; `live` is for the caller to know. */
export async function readSummary(paths: RecordingPaths): Promise<RecordingSummary> {
  const handle = await openRegular(paths.index, constants.O_RDONLY)
  try {
    const {size} = await handle.stat()
    const meta = await readMeta(handle, size)
    const {size: bytes} = await stat(paths.data)
    const {command, toldHost: _, ...facts} = meta
    const short = command === undefined ? {} : {command: command.slice(0, COMMAND_CHARACTERS)}
    return {...facts, ...short, ...(await readEnd(handle, size)), bytes}
  } finally {
    await handle.close()
  }
}

async function readMeta(handle: FileHandle, size: number): Promise<RecordingMeta> {
  for (const length of [HEAD_BYTES, FIRST_LINE_BYTES]) {
    const start = await readAt(handle, 0, Math.min(length, size))
    const end = start.indexOf(0x0a)
    if (end >= 0) return parseFirstLine(start.toString('utf8', 0, end))
  }
  throw problem('recording_corrupt', "the recording's index has no first line")
}

type End = Pick<RecordingSummary, 'state' | 'durationMs' | 'endedAt'>

async function readEnd(handle: FileHandle, size: number): Promise<End> {
  const from = Math.max(0, size - TAIL_BYTES)
  const tail = await readAt(handle, from, size - from)
  // What follows the last line break is torn; what precedes the first is part of a line, or the meta.
  const lines = tail
    .toString('utf8', 0, Math.max(0, tail.lastIndexOf(0x0a)))
    .split('\n')
    .slice(1)
  const last = lines.at(-1)
  if (last === undefined) return {state: 'truncated', durationMs: 0}
  const entry = parseLaterLine(last, lines.length)
  if (!('end' in entry)) return {state: 'truncated', durationMs: entry.last}
  const {durationMs, endedAt, truncated} = entry.end
  return {state: truncated === undefined ? 'sealed' : 'truncated', durationMs, endedAt}
}

async function readAt(handle: FileHandle, offset: number, length: number): Promise<Buffer> {
  const buffer = Buffer.alloc(length)
  const {bytesRead} = await handle.read(buffer, 0, length, offset)
  return buffer.subarray(0, bytesRead)
}
