import {createHash} from 'node:crypto'
import {constants} from 'node:fs'
import {type FileHandle, open, readdir} from 'node:fs/promises'
import {join} from 'node:path'

// Files of the log: `events-<first sequence>-<day>.jsonl`. The sequence comes first so that names sort in the order
// of the chain even when the clock was set back.

/** Hash of a record: hex sha256 of the bytes of its line, without the line break. */
export const recordHash = (line: string | Uint8Array): string =>
  createHash('sha256').update(line).digest('hex')

export interface LogFile {
  path: string
  name: string
  firstSequence: number
  /** `yyyy-mm-dd`, UTC. */
  day: string
}

const pattern = /^events-(\d{12})-(\d{4}-\d{2}-\d{2})\.jsonl$/

export const logFile = (directory: string, firstSequence: number, day: string): LogFile => {
  const name = `events-${String(firstSequence).padStart(12, '0')}-${day}.jsonl`
  return {path: join(directory, name), name, firstSequence, day}
}

/** The files of a log, oldest first. */
export async function listLogFiles(directory: string): Promise<LogFile[]> {
  const entries = await readdir(directory, {withFileTypes: true})
  return entries
    .flatMap(entry => {
      const match = entry.isFile() ? pattern.exec(entry.name) : null
      return match?.[1] && match[2] ? [logFile(directory, Number(match[1]), match[2])] : []
    })
    .sort((a, b) => a.firstSequence - b.firstSequence || (a.name < b.name ? -1 : 1))
}

/** Opens a log file; a link in its place is an error. */
export const openLogFile = (path: string, flags: number): Promise<FileHandle> =>
  open(path, flags | constants.O_NOFOLLOW, 0o600)

/** Longest line that is read as a record; anything longer is no record of ours. */
export const LINE_BYTES = 256 * 1024

export interface Line {
  bytes: Buffer
  /** Where it begins in the file. */
  offset: number
  /** False for what follows the last line break, and for a line above LINE_BYTES. */
  whole: boolean
}

const BLOCK = 64 * 1024

/** Lines of a file in order, from `from`, where one must begin. Memory is bounded: of a line above LINE_BYTES only the beginning is given, then it ends. */
export async function* readLines(path: string, from = 0): AsyncGenerator<Line> {
  const handle = await openLogFile(path, constants.O_RDONLY)
  try {
    let rest: Buffer = Buffer.alloc(0)
    let offset = from
    for (;;) {
      const block = Buffer.allocUnsafe(BLOCK)
      const {bytesRead} = await handle.read(block, 0, BLOCK, offset + rest.length)
      if (bytesRead === 0) break
      rest = Buffer.concat([rest, block.subarray(0, bytesRead)])
      for (let end = rest.indexOf(0x0a); end >= 0; end = rest.indexOf(0x0a)) {
        yield {bytes: rest.subarray(0, end), offset, whole: true}
        offset += end + 1
        rest = rest.subarray(end + 1)
      }
      if (rest.length > LINE_BYTES) break
    }
    if (rest.length > 0) yield {bytes: rest, offset, whole: false}
  } finally {
    await handle.close()
  }
}

/**
 * Whole lines of a file, last first, from `end` (default: the end of the file). Reads backwards block by block.
 * What follows the last line break is left out.
 */
export async function* readLinesBackward(path: string, end?: number): AsyncGenerator<Line> {
  const handle = await openLogFile(path, constants.O_RDONLY)
  try {
    let position = end ?? (await handle.stat()).size
    let buffer: Buffer = Buffer.alloc(0)
    let trimmed = false
    for (;;) {
      if (!trimmed) {
        const last = buffer.lastIndexOf(0x0a)
        if (last >= 0) buffer = buffer.subarray(0, last)
        trimmed = last >= 0
      }
      if (trimmed) {
        for (let at = buffer.lastIndexOf(0x0a); at >= 0; at = buffer.lastIndexOf(0x0a)) {
          yield {bytes: buffer.subarray(at + 1), offset: position + at + 1, whole: true}
          buffer = buffer.subarray(0, at)
        }
      }
      if (position === 0 || buffer.length > LINE_BYTES) break
      const size = Math.min(BLOCK, position)
      const block = Buffer.allocUnsafe(size)
      position -= size
      await readFully(handle, block, position)
      buffer = Buffer.concat([block, buffer])
    }
    if (trimmed && position === 0) yield {bytes: buffer, offset: 0, whole: true}
  } finally {
    await handle.close()
  }
}

/** The bytes of a file from one place to another; both must be in it. */
export async function readRange(path: string, from: number, to: number): Promise<Buffer> {
  const handle = await openLogFile(path, constants.O_RDONLY)
  try {
    const bytes = Buffer.alloc(to - from)
    await readFully(handle, bytes, from)
    return bytes
  } finally {
    await handle.close()
  }
}

async function readFully(handle: FileHandle, buffer: Buffer, position: number): Promise<void> {
  for (let done = 0; done < buffer.length; ) {
    const {bytesRead} = await handle.read(buffer, done, buffer.length - done, position + done)
    if (bytesRead === 0) throw new Error('the file became shorter while it was read')
    done += bytesRead
  }
}
