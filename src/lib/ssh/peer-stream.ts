import {Duplex, type Readable} from 'node:stream'
import {byteQueue} from './byte-queue.js'
import {giveBackRoom} from './packet-room.js'
import {maxPacketSize} from './window.js'

/**
 * A Duplex whose readable side is filled by a peer. What the reader has not asked for yet waits in a compact queue
 * rather than in Node's, which keeps every piece.
 */
export abstract class PeerStream extends Duplex {
  readonly #waiting = byteQueue()
  /** The last `read` wanted more than there was. */
  #hungry = false
  #ending = false
  #ended = false
  /** Gets what comes while the stream flows and nothing waits, in place of a `data` event. It may not keep it. */
  onLent: ((data: Buffer) => void) | undefined

  constructor(options: {autoDestroy: boolean}) {
    super({...options, allowHalfOpen: true, writableHighWaterMark: maxPacketSize * 4})
    // Without a listener an error ends the process. Here it means a write after the end, which its callback hears
    // of, or a `destroy` by someone who knows the reason.
    this.on('error', () => undefined)
  }

  /** Called whenever some of what was received may have been read. */
  protected abstract wasRead(): void

  /** Bytes received and not read yet. */
  get unread(): number {
    return this.readableLength + this.#waiting.length
  }

  /** Makes a copy of what was written last and is not sent yet. */
  protected abstract keepUnsent(): void

  /** Whether `_write` sees what is written now within the call. */
  get writesAtOnce(): boolean {
    return this.writableLength === 0 && this.writableCorked === 0
  }

  /** Writes bytes that are the caller's again when this returns, while `writesAtOnce`. False: wait for `drain`. */
  writeLent(data: Buffer, done: () => void): boolean {
    const more = this.write(data, done)
    this.keepUnsent()
    return more
  }

  /** More from the peer. The bytes are lent. */
  protected receive(data: Buffer): void {
    if (this.#ending) return
    const empty = this.#waiting.length === 0 && this.readableLength === 0
    if (empty && this.onLent && lends(this)) this.onLent(data)
    // A paused borrower gets it lent when it goes on.
    else if (this.onLent && this.readableFlowing === false) this.#waiting.push(data)
    else if (empty || (this.#waiting.length === 0 && this.#hungry)) this.push(Buffer.from(data))
    else this.#waiting.push(data)
  }

  /** Nothing more will come from the peer. */
  protected receiveEnd(): void {
    this.#ending = true
    this.#refill(0)
  }

  override read(size?: number): Buffer | null {
    const borrowed = this.onLent !== undefined && this.listenerCount('data') === 1
    if (borrowed) this.#lendWaiting()
    this.#refill(borrowed ? 0 : (size ?? 1))
    const chunk: Buffer | null = super.read(size)
    if (size !== 0) this.#hungry = chunk === null
    this.#refill(borrowed ? 0 : 1)
    this.wasRead()
    return chunk
  }

  override _read(): void {
    // Pushed as it arrives and as it is read.
  }

  #lendWaiting(): void {
    while (this.onLent && this.readableLength === 0 && lends(this)) {
      const piece = this.#waiting.shift()
      if (!piece) return
      this.onLent(piece)
      giveBackRoom(piece)
    }
  }

  #refill(wanted: number): void {
    while (this.readableLength < wanted) {
      const piece = this.#waiting.shift()
      if (!piece) break
      this.push(piece)
    }
    if (!this.#ending || this.#ended || this.#waiting.length > 0) return
    this.#ended = true
    this.push(null)
  }
}

/** While a stream flows to its one reader. Of several each is to see everything, in events. */
export const lends = (stream: Readable): boolean =>
  stream.readableFlowing === true && stream.listenerCount('data') === 1
