import {crc32} from 'node:zlib'

/** RFC 1952 §2.3: deflate, no flags, no time, fastest, Unix. */
const header = Buffer.from([0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 4, 3])

/** A stored block has two bytes for its length (RFC 1951 §3.2.4). */
const maxStored = 0xffff

/** Made here in this process, so that nobody has to inflate them to see that they are sound. */
const made = new WeakSet<Buffer>()

/**
 * A gzip member of `start` and `body`, of which the body is deflated already. What a chunk begins with is known only
 * when the chunk before it is finished; so the bodies of several can be compressed at the same time.
 * @param start at most 64 kB
 * @param deflated the body as a whole deflate stream
 */
export function gzipMember(start: string, body: Buffer, deflated: Buffer): Buffer {
  const first = Buffer.from(start)
  if (first.length > maxStored) throw new RangeError('the start of a member is too long')
  const trailer = Buffer.allocUnsafe(8)
  const firstSum = crc32(first)
  // Of nothing, crc32 gives 0 whatever it is to go on from.
  trailer.writeUInt32LE(body.length > 0 ? crc32(body, firstSum) : firstSum)
  trailer.writeUInt32LE((first.length + body.length) % 2 ** 32, 4)
  const member = Buffer.concat([header, ...(first.length > 0 ? [storedBlock(first)] : []), deflated, trailer])
  made.add(member)
  return member
}

/** Whether the very buffer comes from `gzipMember`. */
export const isMadeHere = (member: Buffer): boolean => made.has(member)

/** Not the last block of its stream. It ends at a byte, so that another stream may follow. */
function storedBlock(bytes: Buffer): Buffer {
  const head = Buffer.alloc(5)
  head.writeUInt16LE(bytes.length, 1)
  head.writeUInt16LE(bytes.length ^ 0xffff, 3)
  return Buffer.concat([head, bytes])
}
