import {problem} from '../errors/index.js'
import {WireWriter} from '../sshcert/index.js'
import type {Sender} from './fair-turns.js'
import {message} from './messages.js'
import {orderedReplies, type Replies} from './ordered-replies.js'
import {PeerStream} from './peer-stream.js'
import {type Batch, sendQueue, type WriteDone} from './send-queue.js'
import {maxPayload} from './ssh2-protocol.js'
import {type ReceiveWindow, receiveWindow} from './window.js'

/** A peer that sends more requests than this before any is answered is flooding. */
const maxPendingRequests = 256
const maxWindow = 0xffffffff
const stderrType = 1

/** The connection, as a channel sees it. */
export interface ChannelLink {
  send(payload: Buffer): void
  sendFilled(length: number, fill: (packet: Buffer, at: number) => void): void
  /** The channel has data that its window lets it send: it gets its turn, now or later. */
  ready(sender: Sender): void
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

interface BufferedWrite {
  chunk: Buffer
}

/**
 * One SSH channel (RFC 4254 §5) as a Duplex, with its extended data as `stderr`. Reading gives the peer new window,
 * so a paused reader pauses the peer; writing waits for the peer's window and for the connection's socket.
 *
 * `end` sends EOF once everything written before, to `stderr` too, is out; nothing may be written to either after it.
 * A session stays open when both sides have sent EOF, since its exit status may still come, until one of them calls
 * `close`; a channel of any other type closes itself then. What breaks a connection ends the data like an EOF does:
 * only an exit status, or the connection's `closed`, tells whether it was complete.
 */
export class Channel extends PeerStream implements Sender {
  readonly stderr: ExtendedData
  /** Called for every request of the peer; without it requests are refused. */
  onRequest: ((request: ChannelRequest) => void) | undefined
  /** Called once when the peer has closed the channel or the connection is gone; unread data is still readable. */
  onClosed: (() => void) | undefined
  /** Type-specific data with which the peer accepted the channel, where it was opened from here. */
  answer: Buffer = Buffer.alloc(0)
  /** The peer will send no more data (EOF or CLOSE was received). */
  remoteEnded = false
  /**
   * OpenSSH closes a session once both sides have sent EOF, and takes the exit status for as long as we have not
   * closed it too. Set, such a CLOSE is not answered: requests may be sent until `close`.
   */
  awaitsStatus = false

  readonly #link: ChannelLink
  readonly #parameters: ChannelParameters
  readonly #writes = sendQueue()
  readonly #answers: ((success: boolean) => void)[] = []
  readonly #replies: Replies = orderedReplies(maxPendingRequests)
  readonly #receiveWindow: ReceiveWindow = receiveWindow()
  #remoteWindow: number
  /** Set while EOF waits for the writes before it. */
  #sendingEof: WriteDone | undefined
  #sentEof = false
  #dropping = false
  #sentClose = false
  #receivedClose = false

  constructor(link: ChannelLink, parameters: ChannelParameters) {
    super({autoDestroy: false})
    this.#link = link
    this.#parameters = parameters
    this.#remoteWindow = parameters.remoteWindow
    this.stderr = new ExtendedData(this)
    this.on('end', () => this.#destroyWhenOver())
    this.on('finish', () => this.#destroyWhenOver())
  }

  get type(): string {
    return this.#parameters.type
  }

  get isClosed(): boolean {
    return this.#receivedClose || this.#sentClose
  }

  /**
   * Sends a request; resolves to the peer's answer, true when none is wanted, false when the channel closes first or
   * the request is too long for a packet, which is at about 34 kB. Never rejects.
   */
  request(type: string, data: Buffer = Buffer.alloc(0), wantReply = true): Promise<boolean> {
    const payload = this.#message(message.channelRequest).string(type).bool(wantReply).raw(data).finish()
    const over = this.#sentClose || (this.#receivedClose && wantReply)
    if (over || payload.length > maxPayload) return Promise.resolve(false)
    const answer = wantReply
      ? new Promise<boolean>(resolve => this.#answers.push(resolve))
      : Promise.resolve(true)
    this.#link.send(payload)
    return answer
  }

  /** Forgets what was written to this and to `stderr` and is not sent yet; what is written from now on is sent. */
  dropUnsent(): void {
    // A stream hands over what it holds itself as soon as what came before is done.
    this.#dropping = true
    this.#writes.clear()
    this.#dropping = false
  }

  /** Tells the peer that no more comes and that nothing more is read; what is not sent yet is dropped. Idempotent. */
  close(): void {
    if (this.#sentClose) return
    this.#sentClose = true
    this.#link.send(this.#message(message.channelClose).finish())
    this.#settle()
  }

  // ── for the connection ──────────────────────────────────────────────────────────────────────────────────────────

  /** The bytes are lent. */
  receiveData(data: Buffer, extendedType?: number): void {
    if (this.remoteEnded) return
    this.#receiveWindow.take(data.length)
    if (!this.#sentClose) {
      if (extendedType === undefined) this.receive(data)
      else if (extendedType === stderrType) this.stderr.receiveData(data)
    }
    this.credit()
  }

  receiveEof(): void {
    if (this.remoteEnded) return
    this.remoteEnded = true
    this.receiveEnd()
    this.stderr.receiveEof()
  }

  receiveClose(): void {
    if (this.#receivedClose) return
    this.#receivedClose = true
    this.receiveEof()
    if (this.awaitsStatus && this.#sentEof) return
    this.close()
    this.#settle()
  }

  receiveWindow(bytes: number): void {
    this.#remoteWindow += bytes
    if (this.#remoteWindow > maxWindow) throw problem('protocol_error', 'the peer overflowed a window')
    this.#link.ready(this)
  }

  receiveRequest(type: string, wantReply: boolean, data: Buffer): void {
    let settle = wantReply ? this.#replies.expect<boolean>(success => this.#answer(success)) : undefined
    const reply = (success: boolean): void => {
      settle?.(success)
      settle = undefined
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
    this.awaitsStatus = false
    if (this.#receivedClose) this.#settle()
    else this.receiveClose()
  }

  sendOne(): boolean {
    if (this.#sentClose) return false
    const batch = this.#writes.take(Math.min(this.#remoteWindow, this.#parameters.remoteMaxPacket))
    if (!batch) return false
    this.#remoteWindow -= batch.length
    this.#sendBatch(batch)
    for (const done of batch.done) done()
    this.#sendEofWhenDrained()
    return !this.#writes.empty && this.#remoteWindow > 0
  }

  // ── for both streams ────────────────────────────────────────────────────────────────────────────────────────────

  queueWrite(data: Buffer, extended: boolean, done: WriteDone): void {
    // A peer that closed its end gets nothing more; whoever writes learns of it through `onClosed`, as with a pipe.
    if (this.isClosed || this.#dropping || data.length === 0) return done()
    if (this.#sentEof) return done(problem('protocol_error', 'data was written after the end of a channel'))
    this.#writes.push(data, extended, done)
    this.#link.ready(this)
  }

  override keepUnsent(): void {
    this.#writes.keepLast()
  }

  /** Gives the peer window for what has been read, once it is worth a message. */
  credit(): void {
    if (this.isClosed || this.remoteEnded) return
    const bytes = this.#receiveWindow.credit(this.unread + this.stderr.unread)
    if (bytes > 0) this.#link.send(this.#message(message.channelWindowAdjust).u32(bytes).finish())
  }

  // ── Duplex ──────────────────────────────────────────────────────────────────────────────────────────────────────

  protected override wasRead(): void {
    this.credit()
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: WriteDone): void {
    this.queueWrite(chunk, false, done)
  }

  override _writev(chunks: BufferedWrite[], done: WriteDone): void {
    queueAll(this, chunks, false, done)
  }

  override _final(done: WriteDone): void {
    this.#sendingEof = done
    this.#sendEofWhenDrained()
  }

  override _destroy(error: Error | null, done: WriteDone): void {
    this.close()
    this.stderr.receiveEof()
    done(error)
  }

  /** Extended data after EOF would make OpenSSH hang up (RFC 4254 §5.3). */
  #sendEofWhenDrained(): void {
    const done = this.#sendingEof
    if (!done) return
    if (!this.isClosed) {
      if (!this.#writes.empty || this.stderr.writableLength > 0) return
      this.#sentEof = true
      this.#link.send(this.#message(message.channelEof).finish())
    }
    this.#sendingEof = undefined
    done()
  }

  #sendBatch({extended, pieces, length}: Batch): void {
    const headerLength = extended ? 13 : 9
    this.#link.sendFilled(headerLength + length, (packet, start) => {
      packet[start] = extended ? message.channelExtendedData : message.channelData
      let at = packet.writeUInt32BE(this.#parameters.remoteId, start + 1)
      if (extended) at = packet.writeUInt32BE(stderrType, at)
      at = packet.writeUInt32BE(length, at)
      for (const piece of pieces) {
        packet.set(piece, at)
        at += piece.length
      }
    })
  }

  #message(type: number): WireWriter {
    return new WireWriter().u8(type).u32(this.#parameters.remoteId)
  }

  #answer(success: boolean): void {
    if (this.#sentClose) return
    this.#link.send(this.#message(success ? message.channelSuccess : message.channelFailure).finish())
  }

  /** Lets go of everything that waits for a peer that will not answer any more. */
  #settle(): void {
    // Ended before its writers hear that they are done: one who writes on would be done at once, and for ever.
    if (!this.writableEnded) this.end()
    if (!this.stderr.writableEnded) this.stderr.end()
    this.#writes.clear()
    this.#sendEofWhenDrained()
    if (!this.#receivedClose) return
    for (const answer of this.#answers.splice(0)) answer(false)
    this.#link.release(this.#parameters.localId)
    this.#destroyWhenOver()
    const closed = this.onClosed
    this.onClosed = undefined
    closed?.()
  }

  #destroyWhenOver(): void {
    const over = this.#receivedClose || this.type !== 'session'
    if (over && this.readableEnded && this.writableFinished) this.destroy()
  }
}

/** The extended data of a channel: what a server writes to it, a client reads from it (RFC 4254 §5.2). */
class ExtendedData extends PeerStream {
  readonly #channel: Channel

  constructor(channel: Channel) {
    super({autoDestroy: true})
    this.#channel = channel
  }

  receiveData(data: Buffer): void {
    this.receive(data)
  }

  receiveEof(): void {
    this.receiveEnd()
  }

  protected override wasRead(): void {
    this.#channel.credit()
  }

  protected override keepUnsent(): void {
    this.#channel.keepUnsent()
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: WriteDone): void {
    this.#channel.queueWrite(chunk, true, done)
  }

  override _writev(chunks: BufferedWrite[], done: WriteDone): void {
    queueAll(this.#channel, chunks, true, done)
  }
}

function queueAll(
  channel: Channel,
  chunks: readonly BufferedWrite[],
  extended: boolean,
  done: WriteDone,
): void {
  const last = chunks.length - 1
  chunks.forEach(({chunk}, index) => {
    channel.queueWrite(chunk, extended, index === last ? done : ignoreDone)
  })
}

const ignoreDone: WriteDone = () => undefined
