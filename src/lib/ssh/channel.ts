import {Duplex} from 'node:stream'
import {problem} from '../errors/index.js'
import {WireWriter} from '../sshcert/index.js'
import {message} from './messages.js'
import {orderedReplies, type Replies} from './ordered-replies.js'

/** What we let a peer send before we have read it: two megabytes keep 40 ms × 400 Mbit/s busy. */
export const windowSize = 2 * 1024 * 1024
/** Largest data message we take; ssh2 refuses packets over 35 000 bytes. */
export const maxPacketSize = 32 * 1024
const creditThreshold = windowSize / 4
/** A peer that sends more requests than this before any is answered is flooding. */
const maxPendingRequests = 256
const stderrType = 1

/** The connection, as a channel sees it. */
export interface ChannelLink {
  /** False asks for a pause until `unblock` is called. */
  send(payload: Buffer): boolean
  /** The channel is closed both ways: its number may be used again. */
  release(localId: number): void
}

export interface ChannelParameters {
  type: string
  localId: number
  remoteId: number
  remoteWindow: number
  remoteMaxPacket: number
}

/** A request on a channel (RFC 4254 §5.4), to be answered in order through `reply` where one is wanted. */
export interface ChannelRequest {
  type: string
  data: Buffer
  wantReply: boolean
  /** Does nothing where no reply is wanted, or when called again. */
  reply(success: boolean): void
}

interface PendingWrite {
  data: Buffer
  extended: boolean
  done: (error?: Error | null) => void
}

/**
 * One SSH channel (RFC 4254 §5) as a Duplex, with its extended data as `stderr`. Reading gives the peer new window,
 * so a paused reader pauses the peer; writing waits for the peer's window and for the connection's socket.
 */
export class Channel extends Duplex {
  readonly stderr: ExtendedData
  /** Called for every request of the peer; without it requests are refused. */
  onRequest: ((request: ChannelRequest) => void) | undefined
  /** Called once when the peer has closed the channel or the connection is gone; unread data is still readable. */
  onClosed: (() => void) | undefined
  /** The peer will send no more data (EOF or CLOSE was received). */
  remoteEnded = false

  readonly #link: ChannelLink
  readonly #parameters: ChannelParameters
  readonly #writes: PendingWrite[] = []
  readonly #answers: ((success: boolean) => void)[] = []
  readonly #replies: Replies
  #remoteWindow: number
  /** Bytes received that the peer has not been given credit for yet. */
  #uncredited = 0
  /** The socket is full; set by a send, cleared by `unblock`. */
  #blocked = false
  #sentClose = false
  #receivedClose = false

  constructor(link: ChannelLink, parameters: ChannelParameters) {
    super({
      allowHalfOpen: true,
      readableHighWaterMark: windowSize / 2,
      writableHighWaterMark: maxPacketSize * 4,
    })
    this.#link = link
    this.#parameters = parameters
    this.#remoteWindow = parameters.remoteWindow
    this.#replies = orderedReplies(maxPendingRequests)
    this.stderr = new ExtendedData(this)
  }

  get type(): string {
    return this.#parameters.type
  }

  get isClosed(): boolean {
    return this.#receivedClose || this.#sentClose
  }

  /** Sends a request; resolves to the peer's answer, false when the channel closes first, true when none is wanted. */
  request(type: string, data: Buffer = Buffer.alloc(0), wantReply = true): Promise<boolean> {
    if (this.isClosed) return Promise.resolve(false)
    const answer = wantReply
      ? new Promise<boolean>(resolve => this.#answers.push(resolve))
      : Promise.resolve(true)
    this.#link.send(this.#message(message.channelRequest).string(type).bool(wantReply).raw(data).finish())
    return answer
  }

  /** Tells the peer that no more comes and that nothing more is read; idempotent. */
  close(): void {
    if (this.#sentClose) return
    this.#sentClose = true
    this.#link.send(this.#message(message.channelClose).finish())
    this.#settle()
  }

  // ── for the connection ──────────────────────────────────────────────────────────────────────────────────────────

  receiveData(data: Buffer, extendedType?: number): void {
    if (this.remoteEnded) return
    if (this.#uncredited + data.length > windowSize) {
      throw problem('protocol_error', 'the peer sent more data than its window allows')
    }
    this.#uncredited += data.length
    if (this.#sentClose || (extendedType !== undefined && extendedType !== stderrType)) {
      this.credit()
      return
    }
    if (extendedType === undefined) this.push(data)
    else this.stderr.push(data)
    this.credit()
  }

  receiveEof(): void {
    if (this.remoteEnded) return
    this.remoteEnded = true
    this.push(null)
    this.stderr.push(null)
  }

  receiveClose(): void {
    if (this.#receivedClose) return
    this.#receivedClose = true
    this.receiveEof()
    this.close()
    this.#settle()
  }

  receiveWindow(bytes: number): void {
    this.#remoteWindow += bytes
    if (this.#remoteWindow > 0xffffffff) throw problem('protocol_error', 'the peer overflowed a window')
    this.#writeQueued()
  }

  receiveRequest(type: string, wantReply: boolean, data: Buffer): void {
    const settle = wantReply
      ? this.#replies.expect(success => {
          if (this.#sentClose) return
          this.#link.send(this.#message(success ? message.channelSuccess : message.channelFailure).finish())
        })
      : () => undefined
    let answered = false
    const reply = (success: boolean): void => {
      if (answered) return
      answered = true
      settle(success)
    }
    if (this.onRequest) this.onRequest({type, data, wantReply, reply})
    else reply(false)
  }

  receiveAnswer(success: boolean): void {
    this.#answers.shift()?.(success)
  }

  /** The connection is gone. */
  abandon(): void {
    this.#sentClose = true
    this.receiveClose()
  }

  /** The socket can take more. */
  unblock(): void {
    this.#blocked = false
    this.#writeQueued()
  }

  /** Writes what the window and the socket allow. */
  #writeQueued(): void {
    while (!this.#blocked && !this.#sentClose) {
      const write = this.#writes[0]
      if (!write || this.#remoteWindow === 0) return
      const size = Math.min(write.data.length, this.#remoteWindow, this.#parameters.remoteMaxPacket)
      this.#blocked = !this.#sendData(write.data.subarray(0, size), write.extended)
      this.#remoteWindow -= size
      write.data = write.data.subarray(size)
      if (write.data.length === 0) {
        this.#writes.shift()
        write.done()
      }
    }
  }

  queueWrite(data: Buffer, extended: boolean, done: (error?: Error | null) => void): void {
    // A peer that closed its end gets nothing more; whoever writes learns of it through `onClosed`, as with a pipe.
    if (this.isClosed || data.length === 0) return done()
    this.#writes.push({data, extended, done})
    if (this.#writes.length === 1) this.#writeQueued()
  }

  /** Gives the peer window for what has been read, once it is worth a message. */
  credit(): void {
    const consumed = this.#uncredited - this.readableLength - this.stderr.readableLength
    if (consumed < creditThreshold || this.isClosed || this.remoteEnded) return
    this.#uncredited -= consumed
    this.#link.send(this.#message(message.channelWindowAdjust).u32(consumed).finish())
  }

  // ── Duplex ──────────────────────────────────────────────────────────────────────────────────────────────────────

  override read(size?: number): Buffer | null {
    const chunk = super.read(size)
    this.credit()
    return chunk
  }

  override _read(): void {
    // Data is pushed as it arrives; what may arrive is bounded by the window.
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    this.queueWrite(chunk, false, done)
  }

  override _final(done: (error?: Error | null) => void): void {
    if (!this.isClosed) this.#link.send(this.#message(message.channelEof).finish())
    done()
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.close()
    if (!this.remoteEnded) this.stderr.push(null)
    done(error)
  }

  #sendData(data: Buffer, extended: boolean): boolean {
    const header = Buffer.allocUnsafe(extended ? 13 : 9)
    header[0] = extended ? message.channelExtendedData : message.channelData
    header.writeUInt32BE(this.#parameters.remoteId, 1)
    if (extended) header.writeUInt32BE(stderrType, 5)
    header.writeUInt32BE(data.length, extended ? 9 : 5)
    return this.#link.send(Buffer.concat([header, data], header.length + data.length))
  }

  #message(type: number): WireWriter {
    return new WireWriter().u8(type).u32(this.#parameters.remoteId)
  }

  /** Lets go of everything that waits for a peer that will not answer any more. */
  #settle(): void {
    for (const write of this.#writes.splice(0)) write.done()
    if (!this.#receivedClose) return
    for (const answer of this.#answers.splice(0)) answer(false)
    this.#link.release(this.#parameters.localId)
    if (!this.writableEnded) this.end()
    const closed = this.onClosed
    this.onClosed = undefined
    closed?.()
  }
}

/** The extended data of a channel: what a server writes to it, a client reads from it (RFC 4254 §5.2). */
export class ExtendedData extends Duplex {
  readonly #channel: Channel

  constructor(channel: Channel) {
    super({
      allowHalfOpen: true,
      readableHighWaterMark: windowSize / 2,
      writableHighWaterMark: maxPacketSize * 4,
    })
    this.#channel = channel
  }

  override read(size?: number): Buffer | null {
    const chunk = super.read(size)
    this.#channel.credit()
    return chunk
  }

  override _read(): void {
    // Pushed by the channel.
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    this.#channel.queueWrite(chunk, true, done)
  }
}
