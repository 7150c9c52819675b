import {giveBackRoom, takeRoom} from './packet-room.js'

const blockBytes = 32 * 1024

/** Bytes that wait for a slow reader. */
export interface ByteQueue {
  readonly length: number
  /** Takes a copy. */
  push(data: Buffer): void
  /** The next piece, of any size; undefined when there is none. It may be given back (`giveBackRoom`). */
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
    if (used < blockBytes / 2) {
      pieces.push(Buffer.from(filled))
      giveBackRoom(block)
    } else pieces.push(filled)
    block = undefined
    used = 0
  }
  return {
    get length() {
      return length
    },
    push(data) {
      length += data.length
      for (let at = 0; at < data.length; ) {
        block ??= takeRoom(blockBytes) ?? Buffer.allocUnsafeSlow(blockBytes)
        const copied = data.copy(block, used, at)
        at += copied
        used += copied
        if (used === blockBytes) seal()
      }
    },
    shift() {
      if (pieces.length === 0) seal()
      const piece = pieces.shift()
      length -= piece?.length ?? 0
      return piece
    },
  }
}
