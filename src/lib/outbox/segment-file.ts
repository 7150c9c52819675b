import {constants} from 'node:fs'
import {type FileHandle, open, readdir, rename, unlink} from 'node:fs/promises'
import {basename, join} from 'node:path'
import {ensurePrivateDirectory, errnoOf, ifMissing, syncDirectory} from '../durable/index.js'
import {uuidSource} from '../names/index.js'
import {digestOf, FRAME_BYTES, readFrameHead} from './frames.js'

// Files of the spool: `<session ID>.<segment>.spool`, and `host.<segment>.spool` for what belongs to no session. One
// that is damaged has `.damaged` behind its name and is left to people.

export const HOST_LANE = 'host'

const pattern = new RegExp(`^(${uuidSource}|host)\\.(\\d{8})\\.spool$`)

export const segmentPath = (directory: string, lane: string, segment: number): string =>
  join(directory, `${lane}.${String(segment).padStart(8, '0')}.spool`)

/** Creates the directory where it is missing; the segments of each lane in it, lowest first. */
export async function listLanes(directory: string): Promise<Map<string, number[]>> {
  await ensurePrivateDirectory(directory)
  const lanes = new Map<string, number[]>()
  for (const entry of await readdir(directory, {withFileTypes: true})) {
    const [, lane, segment] = (entry.isFile() && pattern.exec(entry.name)) || []
    if (lane === undefined) continue
    lanes.set(lane, [...(lanes.get(lane) ?? []), Number(segment)])
  }
  for (const segments of lanes.values()) segments.sort((a, b) => a - b)
  return lanes
}

async function withFile<T>(path: string, flags: number, use: (handle: FileHandle) => Promise<T>): Promise<T> {
  const handle = await open(path, flags | constants.O_NOFOLLOW, 0o600)
  try {
    return await use(handle)
  } finally {
    await handle.close()
  }
}

/** Makes a new file durable, its name as well. What there is of it when that fails is taken away. */
export async function createSegment(path: string, bytes: Buffer): Promise<void> {
  const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL
  try {
    await withFile(path, flags, async handle => {
      await handle.writeFile(bytes)
      await handle.datasync()
    })
    await syncDirectory(join(path, '..'))
  } catch (error) {
    if (errnoOf(error) !== 'EEXIST') await unlink(path).catch(() => undefined)
    throw error
  }
}

/** Writes at the end that is known to be good, over what a failed attempt may have left. */
export const appendSegment = (path: string, at: number, bytes: Buffer, sync: boolean): Promise<void> =>
  withFile(path, constants.O_WRONLY, async handle => {
    try {
      await writeAt(handle, bytes, at)
      if (sync) await handle.datasync()
    } catch (error) {
      // Room for others at once; where that fails too, the next attempt writes over it.
      await handle.truncate(at).catch(() => undefined)
      throw error
    }
  })

async function writeAt(handle: FileHandle, bytes: Buffer, position: number): Promise<void> {
  for (let done = 0; done < bytes.length; ) {
    const {bytesWritten} = await handle.write(bytes, done, bytes.length - done, position + done)
    done += bytesWritten
  }
}

/** Cuts off what a crash left of a record that was never acknowledged. */
export const truncateSegment = (path: string, bytes: number): Promise<void> =>
  withFile(path, constants.O_WRONLY, async handle => {
    await handle.truncate(bytes)
    await handle.datasync()
  })

export const removeSegment = (path: string): Promise<void> => unlink(path).catch(ifMissing(undefined))

/** Out of the way of those that are good; resolves with the new name. */
export async function setAside(path: string): Promise<string> {
  await rename(path, `${path}.damaged`).catch(ifMissing(undefined))
  return basename(`${path}.damaged`)
}

export type Frame =
  | {ok: true; body: Buffer; digest: Buffer; end: number}
  /** `torn`: the file ends within the frame, as after a crash. */
  | {ok: false; torn: boolean; reason: string; at: number; size: number}

const BLOCK = 256 * 1024

/**
 * Frames of a file in their order, each checked, from an offset where one begins and up to `limit` (default: the end of
 * the file). Ends after the first that is bad. Memory is bounded by the largest frame.
 */
export async function* readFrames(
  path: string,
  from: {offset: number; digest: Buffer},
  limit?: number,
): AsyncGenerator<Frame> {
  const handle = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW)
  try {
    const {size} = await handle.stat()
    const reader = createReader(handle, Math.min(limit ?? size, size))
    let {offset, digest} = from
    while (offset < reader.end) {
      const frame = await readFrame(reader, offset, digest)
      if (!frame.ok) {
        yield {...frame, at: offset, size}
        return
      }
      yield frame
      digest = frame.digest
      offset = frame.end
    }
    if (limit !== undefined && size < limit)
      yield {ok: false, torn: true, reason: 'it is shorter than what was written', at: offset, size}
  } finally {
    await handle.close()
  }
}

type Reader = ReturnType<typeof createReader>

/** Reads ahead by blocks. */
function createReader(handle: FileHandle, end: number) {
  let block: Buffer = Buffer.alloc(0)
  let start = 0
  return {
    end,
    async read(offset: number, length: number): Promise<Buffer> {
      if (offset < start || offset + length > start + block.length) {
        block = Buffer.alloc(Math.min(Math.max(length, BLOCK), end - offset))
        start = offset
        await readFully(handle, block, offset)
      }
      return block.subarray(offset - start, offset - start + length)
    },
  }
}

async function readFrame(
  reader: Reader,
  offset: number,
  previous: Buffer,
): Promise<Extract<Frame, {ok: true}> | {ok: false; torn: boolean; reason: string}> {
  const cut = {ok: false, torn: true, reason: 'it ends within a record'} as const
  if (offset + FRAME_BYTES > reader.end) return cut
  const head = await reader.read(offset, FRAME_BYTES)
  const read = readFrameHead(previous, head)
  if (!read.ok) return {...read, torn: false}
  const end = offset + FRAME_BYTES + read.length
  if (end > reader.end) return cut
  const copy = Buffer.from(head)
  const body = await reader.read(offset + FRAME_BYTES, read.length)
  const digest = digestOf(previous, copy, body)
  return digest
    ? {ok: true, body, digest, end}
    : {ok: false, torn: false, reason: 'a record is not what was written'}
}

async function readFully(handle: FileHandle, buffer: Buffer, position: number): Promise<void> {
  for (let done = 0; done < buffer.length; ) {
    const {bytesRead} = await handle.read(buffer, done, buffer.length - done, position + done)
    if (bytesRead === 0) throw new Error('the file became shorter while it was read')
    done += bytesRead
  }
}
