/** Room for what a shell prints at a prompt. */
const firstBytes = 4096
/** Buffers from this size on are used again: each new one brings the next full garbage collection nearer. */
const reusedBytes = 256 * 1024
const maxSpare = 4
const spare: Buffer[] = []

function room(bytes: number): Buffer {
  const at = bytes < reusedBytes ? -1 : spare.findIndex(buffer => buffer.length >= bytes)
  const [found] = at < 0 ? [] : spare.splice(at, 1)
  return found ?? Buffer.allocUnsafeSlow(bytes)
}

function letGo(buffer: Buffer): void {
  if (buffer.length < reusedBytes) return
  spare.push(buffer)
  if (spare.length > maxSpare) spare.shift()
}

/**
 * Lines of a chunk as UTF-8, written as they come. Strings that live until a chunk closes would be copied about by the
 * garbage collector again and again, at more than it costs to make them.
 */
export interface ChunkBody {
  append(lines: string): void
  /** Bytes so far. */
  readonly size: number
  /** What was appended. Valid until `release`. */
  bytes(): Buffer
  /** Nobody looks at the bytes any more. Called once, and nothing after it but `size`. */
  release(): void
}

const none = Buffer.alloc(0)

/** @param expected bytes that it will probably hold */
export function createChunkBody(expected = firstBytes): ChunkBody {
  let buffer = room(Math.max(expected, firstBytes))
  let size = 0
  return {
    append(lines) {
      const length = Buffer.byteLength(lines)
      if (size + length > buffer.length) {
        const larger = room(Math.max(2 * buffer.length, size + length))
        buffer.copy(larger, 0, 0, size)
        letGo(buffer)
        buffer = larger
      }
      // Most is ASCII, which is written at a fraction of the time.
      size += buffer.write(lines, size, length === lines.length ? 'latin1' : 'utf8')
    },
    get size() {
      return size
    },
    bytes: () => buffer.subarray(0, size),
    release() {
      letGo(buffer)
      buffer = none
    },
  }
}
