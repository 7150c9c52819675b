import type {Duplex} from 'node:stream'

/** Bulk data stops at this much unsent output; well over what one system call takes. */
const maxUnsentBytes = 512 * 1024
/** Only answers to requests of the peer go beyond that: one who asks without listening is asked to wait here. */
const maxBacklogBytes = 2 * 1024 * 1024

export interface Outgoing {
  /** @param done called when nobody looks at the data any more; with an error when that is not certain */
  write(data: Buffer, done?: (error?: Error | null) => void): void
  /** Bulk data should wait for the stream's `drain`. */
  full(): boolean
  /** The peer asks faster than it takes answers. */
  backlogged(): boolean
}

/** Writes to a stream with one system call for everything that is written in one turn of the event loop. */
export function corkedOutput(stream: Duplex): Outgoing {
  let corked = false
  const uncork = (): void => {
    corked = false
    stream.uncork()
  }
  // Without writableNeedDrain no `drain` would come: the stream may have a high water mark above ours.
  const unsent = (limit: number): boolean => stream.writableNeedDrain && stream.writableLength >= limit
  return {
    write(data, done) {
      if (!stream.writable) return
      if (!corked) {
        corked = true
        stream.cork()
        process.nextTick(uncork)
      }
      stream.write(data, done)
    },
    full: () => unsent(maxUnsentBytes),
    backlogged: () => unsent(maxBacklogBytes),
  }
}
