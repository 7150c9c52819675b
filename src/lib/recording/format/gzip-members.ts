import {constants, crc32, inflateRaw, inflateRawSync, type ZlibOptions} from 'node:zlib'
import {problem} from '../../errors/index.js'
import {MEMBER_BYTES} from '../limits.js'

// RFC 1952. node:zlib joins the members of a file; here each is wanted by itself, with its place.

/** One gzip member. `complete` is false for the last one of a file that was cut: its content is what could be read. */
export interface Member {
  offset: number
  data: Buffer
  content: Buffer
  complete: boolean
}

export const isGzip = (start: Uint8Array): boolean => start[0] === 0x1f && start[1] === 0x8b

/**
 * The members of a stream, one in memory at a time. Throws `recording_corrupt` naming the member (counted from 0)
 * for damaged data, for what is no gzip member, and for one above MEMBER_BYTES.
 */
export async function* readMembers(source: AsyncIterable<Uint8Array>): AsyncGenerator<Member> {
  const input = createInput(source)
  let offset = 0
  try {
    for (let number = 0; await input.need(1); number += 1) {
      const member = await readMember(input, number)
      yield {offset, ...member}
      if (!member.complete) return
      offset += member.data.length
    }
  } finally {
    await input.close()
  }
}

/** The content of a buffer that must be exactly one member. Throws as readMembers. */
export async function inflateMember(data: Uint8Array): Promise<Buffer> {
  const input = createInput([data])
  const member = await readMember(input, 0)
  if (!member.complete || member.data.length !== data.length)
    throw problem('recording_corrupt', 'the chunk is not exactly one gzip member')
  return member.content
}

/** A strict session makes thousands of members smaller than this: the way to the thread pool costs more than their work. */
const SMALL_TRY = 1024
const FIRST_TRY = 64 * 1024
const HEADER_BYTES = 64 * 1024
const TRAILER = 8

async function readMember(input: Input, number: number): Promise<Omit<Member, 'offset'>> {
  const broken = (why: string, cause?: unknown) =>
    problem('recording_corrupt', `chunk ${number} of the recording ${why}`, {cause})
  const cut = (content: Buffer = Buffer.alloc(0)) => ({
    data: input.take(input.size()),
    content,
    complete: false,
  })

  const header = await headerLength(input)
  if (header === 'cut') return cut()
  if (header === 'bad') throw broken('is not a gzip member')

  // How long the member is shows only when it ends, so try with more and more of what is there.
  for (let size = SMALL_TRY; ; size = Math.max(FIRST_TRY, size * 4)) {
    const more = await input.need(header + size)
    const bytes = input.peek().subarray(header, header + size)
    const {content, consumed} = await inflate(bytes, size).catch(cause => {
      throw broken('is damaged or too large', cause)
    })
    const end = header + consumed
    const ended = consumed < Math.min(size, input.size() - header)
    if (ended && (await input.need(end + TRAILER))) {
      const trailer = input.peek().subarray(end, end + TRAILER)
      if (trailer.readUInt32LE(0) !== crc32(content) || trailer.readUInt32LE(4) !== content.length)
        throw broken('does not match its checksum')
      return {data: input.take(end + TRAILER), content, complete: true}
    }
    if (ended || !more) return cut(content)
    if (size >= MEMBER_BYTES) throw broken('is too large')
  }
}

interface Inflated {
  content: Buffer
  consumed: number
}

/** Inflates as far as the bytes go; `consumed` falls short of the input where the deflate stream ended. */
async function inflate(bytes: Buffer, size: number): Promise<Inflated> {
  const options: ZlibOptions = {
    info: true,
    maxOutputLength: MEMBER_BYTES,
    finishFlush: constants.Z_SYNC_FLUSH,
    // The default of 16 kB makes a chunk a few dozen turns of the thread pool.
    chunkSize: size === SMALL_TRY ? 4 * SMALL_TRY : 256 * 1024,
  }
  if (size === SMALL_TRY) return withConsumed(inflateRawSync(bytes, options))
  return new Promise((resolve, reject) => {
    inflateRaw(bytes, options, (error, result) => {
      if (error) reject(error)
      else resolve(withConsumed(result))
    })
  })
}

/** With `info` the result is {buffer, engine}; the types know the plain form only. */
function withConsumed(result: Buffer): Inflated {
  const {buffer, engine} = result as unknown as {buffer: Buffer; engine: {bytesWritten: number}}
  return {content: buffer, consumed: engine.bytesWritten}
}

const FHCRC = 2
const FEXTRA = 4
const FNAME = 8
const FCOMMENT = 16

/** Length of the member's header; gzip(1) puts a file name into it. */
async function headerLength(input: Input): Promise<number | 'cut' | 'bad'> {
  if (!(await input.need(10))) return isGzipPrefix(input.peek()) ? 'cut' : 'bad'
  const start = input.peek()
  const flags = start[3] as number
  if (!isGzip(start) || start[2] !== 8 || flags >= 32) return 'bad'
  let length = 10
  if (flags & FEXTRA) {
    if (!(await input.need(length + 2))) return 'cut'
    length += 2 + input.peek().readUInt16LE(length)
  }
  for (const flag of [FNAME, FCOMMENT]) {
    if (!(flags & flag)) continue
    await input.need(length + HEADER_BYTES)
    const end = input.peek().indexOf(0, length)
    if (end < 0) return input.size() >= length + HEADER_BYTES ? 'bad' : 'cut'
    length = end + 1
  }
  if (flags & FHCRC) length += 2
  return (await input.need(length)) ? length : 'cut'
}

const isGzipPrefix = (bytes: Buffer): boolean =>
  Buffer.from([0x1f, 0x8b, 8]).subarray(0, bytes.length).equals(bytes.subarray(0, 3))

interface Input {
  /** True once `bytes` are buffered, false when the source ended before. */
  need(bytes: number): Promise<boolean>
  peek(): Buffer
  size(): number
  take(bytes: number): Buffer
  /** Lets go of the source before its end. */
  close(): Promise<void>
}

function createInput(source: AsyncIterable<Uint8Array> | Iterable<Uint8Array>): Input {
  const iterator = Symbol.asyncIterator in source ? source[Symbol.asyncIterator]() : source[Symbol.iterator]()
  let buffer: Buffer = Buffer.alloc(0)
  let ended = false
  return {
    async need(bytes) {
      if (buffer.length >= bytes) return true
      const pieces: Uint8Array[] = [buffer]
      let size = buffer.length
      while (size < bytes && !ended) {
        const next = await iterator.next()
        if (next.done) {
          ended = true
        } else {
          pieces.push(next.value)
          size += next.value.length
        }
      }
      buffer = Buffer.concat(pieces)
      return buffer.length >= bytes
    },
    peek: () => buffer,
    size: () => buffer.length,
    take(bytes) {
      const taken = buffer.subarray(0, bytes)
      buffer = buffer.subarray(bytes)
      return taken
    },
    async close() {
      await iterator.return?.()
    },
  }
}
