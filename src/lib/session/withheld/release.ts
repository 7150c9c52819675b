import type {RecordingWriter} from '../../recording/index.js'
import {createByteLog} from './byte-log.js'

/**
 * Output of one stream that is delivered when the recording has it for certain. What it is given and what it delivers is
 * lent.
 */
export interface WithheldStream {
  /**
   * @param shown what is to be recorded: the chunk itself, or what it has besides the content of a file that is moved
   * @returns a promise: the source has to wait. False: the chunk is dropped
   */
  output(chunk: Buffer, shown: Buffer): Promise<void> | false | undefined
  /** Nothing more comes. Resolves when all that came is delivered, or never will be. */
  flush(): Promise<void>
}

/** Delivers bytes to the user; `shown` is what of them, or of those after them, is on record. */
export type Deliver = (lent: Buffer, shown: Buffer) => void

/** Opens a stream; those of a session deliver in the order in which they were given their bytes. */
export type Withhold = (stream: 'stdout' | 'stderr', deliver: Deliver) => WithheldStream

export interface Release {
  withhold: Withhold
  /** Output records nothing more; what came before is still delivered. */
  close(): void
}

/** Output that waits asks its source to wait when it takes so much memory: bulk output is as fast as without. */
const mostWaiting = 2 * 1024 * 1024
/** Of a piece, besides its bytes. */
const pieceBytes = 128

/**
 * Bytes of one stream that wait. Where all of them are recorded, each goes when it is durable itself; else all go
 * together, when those that are recorded are.
 */
interface Piece {
  deliver: Deliver
  bytes: number
  /** What is recorded where that is not all of it. */
  shown?: Buffer
}

const none = Buffer.alloc(0)

/** @param writer of the session; undefined until it has begun */
export function createRelease(writer: () => RecordingWriter | undefined): Release {
  const log = createByteLog()
  let pieces: Piece[] = []
  let waiting = 0
  /** Recorded bytes that were delivered. */
  let released = 0
  let isReleasing = false
  let isClosed = false
  let waiters: {most: number; resolve: () => void}[] = []

  const wake = (): void => {
    const all = waiters
    waiters = []
    for (const waiter of all) {
      if (waiting <= waiter.most) waiter.resolve()
      else waiters.push(waiter)
    }
  }
  const until = (most: number): Promise<void> =>
    waiting <= most ? Promise.resolve() : new Promise(resolve => waiters.push({most, resolve}))

  const drop = (): void => {
    pieces = []
    waiting = 0
    log.clear()
    wake()
  }
  const deliver = (piece: Piece, bytes: number): void => {
    let {shown} = piece
    released += shown ? shown.length : bytes
    piece.bytes -= bytes
    waiting -= bytes
    if (piece.bytes === 0) {
      pieces.shift()
      waiting -= pieceBytes + (shown?.length ?? 0)
    }
    log.shift(bytes, lent => {
      piece.deliver(lent, shown ?? lent)
      if (shown) shown = none
    })
  }
  /** Delivers what may go; returns how much of the output has to be durable for the next bytes, undefined after the last. */
  const advance = (durable: number): number | undefined => {
    for (let piece = pieces[0]; piece; piece = pieces[0]) {
      const ready = durable - released
      const needed = piece.shown ? piece.shown.length : 1
      if (ready < needed) return released + needed
      deliver(piece, piece.shown ? piece.bytes : Math.min(piece.bytes, ready))
    }
    return undefined
  }
  const releaseAll = async (from: RecordingWriter): Promise<void> => {
    isReleasing = true
    for (let next = advance(from.durableOutput); next !== undefined; next = advance(from.durableOutput)) {
      wake()
      try {
        await from.untilDurable(next)
      } catch {
        // The recording failed, and whoever keeps it is told of that by itself.
        isClosed = true
        drop()
      }
    }
    wake()
    isReleasing = false
  }

  const add = (chunk: Buffer, shown: Buffer | undefined, to: Deliver): void => {
    log.push(chunk)
    waiting += chunk.length
    const last = pieces.at(-1)
    if (last && last.deliver === to && !last.shown && !shown) {
      last.bytes += chunk.length
      return
    }
    pieces.push({deliver: to, bytes: chunk.length, ...(shown && {shown: Buffer.from(shown)})})
    waiting += pieceBytes + (shown?.length ?? 0)
  }

  return {
    withhold: (stream, to) => ({
      output(chunk, shown) {
        const kept = writer()
        if (isClosed || !kept || kept.failed) return false
        if (chunk.length === 0) return undefined
        if (shown.length === 0 && pieces.length === 0) {
          to(chunk, shown)
          return undefined
        }
        const hasRoom = kept.output(shown, stream)
        add(chunk, shown === chunk ? undefined : shown, to)
        if (!isReleasing) void releaseAll(kept)
        if (waiting > mostWaiting) return until(mostWaiting / 2)
        return hasRoom ? undefined : kept.ready()
      },
      async flush() {
        if (pieces.length === 0) return
        // Why it fails is told elsewhere; what waits is dropped then.
        await writer()
          ?.flush()
          .catch(() => undefined)
        await until(0)
      },
    }),
    close() {
      isClosed = true
    },
  }
}
