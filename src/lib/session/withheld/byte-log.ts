/** Memory comes in pieces of so much, which all logs of the process share. */
const segmentBytes = 32 * 1024
/** Kept for the next ones: a megabyte. */
const maxSpare = 32
const spare: Buffer[] = []

/** Bytes in the order they came. Takes copies and lends them out again, so that bulk output makes no garbage. */
export interface ByteLog {
  push(bytes: Buffer): void
  /** Hands the first `count` to `take`, in any number of pieces, each valid until the call returns. */
  shift(count: number, take: (lent: Buffer) => void): void
  /** Forgets everything. */
  clear(): void
}

export function createByteLog(): ByteLog {
  let segments: Buffer[] = []
  /** Where the bytes begin in the first segment, and end in the last one. */
  let from = 0
  let to = segmentBytes

  const giveBack = (segment: Buffer): void => {
    if (spare.length < maxSpare) spare.push(segment)
  }
  const last = (): Buffer => {
    const open = segments.at(-1)
    if (open && to < segmentBytes) return open
    const fresh = spare.pop() ?? Buffer.allocUnsafeSlow(segmentBytes)
    segments.push(fresh)
    to = 0
    return fresh
  }
  return {
    push(bytes) {
      for (let at = 0; at < bytes.length; ) {
        const copied = bytes.copy(last(), to, at)
        at += copied
        to += copied
      }
    },
    shift(count, take) {
      for (let left = count; left > 0; ) {
        const [segment] = segments
        if (!segment) throw new RangeError('more is taken from the log than it has')
        const piece = segment.subarray(from, Math.min(from + left, segments.length > 1 ? segmentBytes : to))
        left -= piece.length
        from += piece.length
        // Whoever takes it may push more.
        const isUsed = from === segmentBytes || (segments.length === 1 && from === to)
        if (isUsed) {
          segments.shift()
          from = 0
          if (segments.length === 0) to = segmentBytes
        }
        take(piece)
        if (isUsed) giveBack(segment)
      }
    },
    clear() {
      segments.forEach(giveBack)
      segments = []
      from = 0
      to = segmentBytes
    },
  }
}
