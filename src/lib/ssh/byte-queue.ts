/** Smaller pieces are copied together. */
const gatherBelow = 4096
const blockSize = 16 * 1024

/** Bytes that wait for a slow reader. */
export interface ByteQueue {
  readonly length: number
  /** Takes a copy. */
  push(data: Buffer): void
  /** The next piece, of any size; undefined when there is none. */
  shift(): Buffer | undefined
}

/**
 * A queue of bytes that costs about what it holds: a peer that sends a window full of single bytes must not cost a
 * Buffer for each, nor keep alive the packets that they came in.
 */
export function byteQueue(): ByteQueue {
  const pieces: Buffer[] = []
  let block: Buffer | undefined
  let used = 0
  let length = 0

  const seal = (): void => {
    if (!block) return
    const filled = block.subarray(0, used)
    pieces.push(used < blockSize / 2 ? Buffer.from(filled) : filled)
    block = undefined
    used = 0
  }
  const gather = (data: Buffer): void => {
    if (used + data.length > blockSize) seal()
    block ??= Buffer.allocUnsafeSlow(blockSize)
    used += data.copy(block, used)
  }
  return {
    get length() {
      return length
    },
    push(data) {
      length += data.length
      if (data.length < gatherBelow) return gather(data)
      seal()
      pieces.push(Buffer.from(data))
    },
    shift() {
      if (pieces.length === 0) seal()
      const piece = pieces.shift()
      length -= piece?.length ?? 0
      return piece
    },
  }
}
