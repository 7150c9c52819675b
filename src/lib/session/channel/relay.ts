import type {Readable, Writable} from 'node:stream'
import {borrow, type Channel, writeLent} from '../../ssh/index.js'

/**
 * Sees bytes before they are passed on. The promise it may return holds the source back until it is settled; false
 * drops the bytes. It may not keep the bytes.
 */
export type Tap = (chunk: Buffer) => Promise<void> | false | undefined

/** Sees bytes in place of the relay, and delivers them when it is time to. They are lent, either way. */
export type WithholdingTap = (deliver: (lent: Buffer) => void) => {
  /** The promise holds the source back until it is settled; false: these bytes are dropped. */
  take(chunk: Buffer): Promise<void> | false | undefined
  /** The source has ended. Resolves when nothing more will be delivered; never rejects. */
  flush(): Promise<void>
}

/**
 * Passes everything from `source` to `sink` with back-pressure; resolves when the source has ended and the sink has
 * taken it all, or when the sink is gone. The sink is not ended.
 */
export function relay(
  source: Readable,
  sink: Writable,
  tap?: Tap | {withhold: WithholdingTap},
): Promise<void> {
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
    const release = (): void => {
      held--
      flow()
    }
    const deliver = (chunk: Buffer, write: (chunk: Buffer) => boolean): void => {
      if (!sink.writable) return
      unwritten++
      if (!write(chunk)) source.pause()
    }
    const writeBorrowed = (lent: Buffer): boolean => writeLent(sink, lent, written)
    const see = typeof tap === 'function' ? tap : undefined
    const withheld = typeof tap === 'object' ? tap.withhold(lent => deliver(lent, writeBorrowed)) : undefined
    const take = (chunk: Buffer, write: (chunk: Buffer) => boolean): void => {
      const hold = withheld ? withheld.take(chunk) : see?.(chunk)
      if (hold === false) return
      if (hold) {
        held++
        source.pause()
        hold.then(release, release)
      }
      if (!withheld) deliver(chunk, write)
    }
    source.on('data', (chunk: Buffer) => take(chunk, own => sink.write(own, written)))
    borrow(source, chunk => take(chunk, writeBorrowed))
    sink.on('drain', flow)
    const flushed = (): void => {
      ended = true
      settle()
    }
    const finish = (): void => {
      if (withheld) void withheld.flush().then(flushed)
      else flushed()
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

/**
 * Joins two channels of plain bytes, such as forwarded ports and agents; resolves when both directions are done.
 * @param onBytes told of what passes, either way
 */
export async function joinChannels(a: Channel, b: Channel, onBytes: () => void): Promise<void> {
  const toB = pass(a, b, onBytes)
  const toA = pass(b, a, onBytes)
  whenClosed(a, () => void toB.then(() => b.close()))
  whenClosed(b, () => void toA.then(() => a.close()))
  await Promise.all([toA, toB])
}

/** A channel may be gone before anybody could ask to be told. */
function whenClosed(channel: Channel, then: () => void): void {
  if (channel.isClosed) then()
  else channel.onClosed = then
}

async function pass(source: Channel, sink: Channel, onBytes: () => void): Promise<void> {
  source.stderr.resume()
  await relay(source, sink, () => {
    onBytes()
    return undefined
  })
  sink.end()
}
