import type {Readable, Writable} from 'node:stream'
import type {Channel} from '../ssh/index.js'

/** Sees bytes before they are passed on; the promise it may return holds the source back until it resolves. */
export type Tap = (chunk: Buffer) => Promise<void> | undefined

/**
 * Passes everything from `source` to `sink` with back-pressure; resolves when the source has ended and the sink has
 * taken it all, or when the sink is gone. The sink is not ended.
 */
export function relay(source: Readable, sink: Writable, tap?: Tap): Promise<void> {
  return new Promise(resolve => {
    let unwritten = 0
    let held = 0
    let ended = false
    const settle = (): void => {
      if (ended && unwritten === 0) resolve()
    }
    const flow = (): void => {
      if (held === 0 && !sink.writableNeedDrain) source.resume()
    }
    const written = (): void => {
      unwritten--
      settle()
    }
    source.on('data', (chunk: Buffer) => {
      const hold = tap?.(chunk)
      if (hold) {
        held++
        source.pause()
        void hold.finally(() => {
          held--
          flow()
        })
      }
      if (!sink.writable) return
      unwritten++
      if (!sink.write(chunk, written)) source.pause()
    })
    sink.on('drain', flow)
    const finish = (): void => {
      ended = true
      settle()
    }
    source.on('end', finish)
    source.on('close', finish)
    sink.on('close', () => {
      // Nobody is left to read: let the source run dry instead of holding its window.
      source.resume()
      resolve()
    })
  })
}

/** Counts of what went each way through a pair of channels, in bytes. */
export interface RelayCount {
  toA: number
  toB: number
}

/** Joins two channels of plain bytes, such as forwarded ports and agents; resolves when both directions are done. */
export async function joinChannels(a: Channel, b: Channel): Promise<RelayCount> {
  const count = {toA: 0, toB: 0}
  const toB = pass(a, b, bytes => {
    count.toB += bytes
  })
  const toA = pass(b, a, bytes => {
    count.toA += bytes
  })
  a.onClosed = () => void toB.then(() => b.close())
  b.onClosed = () => void toA.then(() => a.close())
  await Promise.all([toA, toB])
  return count
}

async function pass(source: Channel, sink: Channel, count: (bytes: number) => void): Promise<void> {
  source.stderr.resume()
  await relay(source, sink, chunk => {
    count(chunk.length)
    return undefined
  })
  sink.end()
}
