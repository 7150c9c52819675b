export type WriteDone = (error?: Error | null) => void

interface PendingWrite {
  data: Buffer
  extended: boolean
  done: WriteDone
}

/** What goes into one data message. */
export interface Batch {
  extended: boolean
  pieces: Buffer[]
  length: number
  /** To be called once the message is sent. */
  done: WriteDone[]
}

/** Writes that wait for the peer's window or for their turn. */
export interface SendQueue {
  readonly empty: boolean
  push(data: Buffer, extended: boolean, done: WriteDone): void
  /** The next bytes of one stream, as many as fit in `limit`; undefined when there are none. */
  take(limit: number): Batch | undefined
  /** Makes a copy of what is left of the last write, whose bytes are about to be used for something else. */
  keepLast(): void
  /** Forgets everything; the writers are told that they are done. */
  clear(): void
}

export function sendQueue(): SendQueue {
  const writes: PendingWrite[] = []
  const takeFrom = (write: PendingWrite, batch: Batch, limit: number): void => {
    const piece = write.data.subarray(0, limit - batch.length)
    batch.pieces.push(piece)
    batch.length += piece.length
    write.data = write.data.subarray(piece.length)
    if (write.data.length > 0) return
    writes.shift()
    batch.done.push(write.done)
  }
  return {
    get empty() {
      return writes.length === 0
    },
    push(data, extended, done) {
      writes.push({data, extended, done})
    },
    take(limit) {
      const extended = writes[0]?.extended
      if (extended === undefined || limit <= 0) return undefined
      const batch: Batch = {extended, pieces: [], length: 0, done: []}
      for (let write = writes[0]; write?.extended === extended && batch.length < limit; write = writes[0]) {
        takeFrom(write, batch, limit)
      }
      return batch
    },
    keepLast() {
      const last = writes.at(-1)
      if (last) last.data = Buffer.from(last.data)
    },
    clear() {
      for (const {done} of writes.splice(0)) done()
    },
  }
}
