import {Socket} from 'node:net'
import type {Readable, Writable} from 'node:stream'
import {giveBackRoom, takeRoom} from './packet-room.js'
import {lends, PeerStream} from './peer-stream.js'

// Bytes that are lent are the lender's again when the call returns. Whoever wants to keep them copies them. It saves a
// buffer for each piece of a bulk transfer, which is what the garbage collector would otherwise be busy with.

/**
 * Room for what one system call reads, as much as Node would take. It is handled before the next one, so that all sockets
 * of the process share it.
 */
const sharedBytes = 64 * 1024
let shared: Buffer | undefined

type Borrower = (bytes: Buffer) => void

/**
 * Has `source` lend its bytes to `take`, where it can, while it flows and has one listener for `data`: the one that takes
 * in their place what had to wait, and all bytes of a source that cannot lend.
 */
export function borrow(source: Readable, take: Borrower): void {
  if (source instanceof PeerStream) source.onLent = take
  else if (isPlainSocket(source)) borrowFromSocket(source, take)
}

/**
 * Writes bytes that are lent; what cannot be written at once is copied.
 * @returns false: wait for `drain`
 */
export function writeLent(sink: Writable, bytes: Buffer, done: () => void): boolean {
  const toPeer = sink instanceof PeerStream
  if (toPeer && sink.writesAtOnce) return sink.writeLent(bytes, done)
  const room = toPeer || isPlainSocket(sink) ? takeRoom(bytes.length) : undefined
  if (!room) return sink.write(Buffer.from(bytes), done)
  bytes.copy(room)
  return sink.write(room, error => {
    // What broke off may still be looked at by the system.
    if (!error) giveBackRoom(room)
    done()
  })
}

/** Without TLS, and no other stream that looks like a socket. */
export const isPlainSocket = (stream: unknown): stream is Socket =>
  stream instanceof Socket && !('encrypted' in stream)

interface SocketInsides {
  _handle?: {useUserBuffer?(buffer: Uint8Array): void} | null
  [name: symbol]: unknown
}

/** `onread` of net.connect, which Node has for no socket that is there already: a server's, for one. */
function borrowFromSocket(socket: Socket, take: Borrower): void {
  const insides = socket as unknown as SocketInsides
  const names = Object.getOwnPropertySymbols(insides)
  const symbol = (name: string): symbol | undefined => names.find(({description}) => description === name)
  const [buffer, callback, generator] = [symbol('kBuffer'), symbol('kBufferCb'), symbol('kBufferGen')]
  const handle = insides._handle
  if (!buffer || !callback || !generator || !handle?.useUserBuffer || insides[buffer] || socket.connecting)
    return
  shared ??= Buffer.allocUnsafeSlow(sharedBytes)
  insides[buffer] = shared
  insides[callback] = (length: number, from: Buffer) => {
    const bytes = from.subarray(0, length)
    // What came before may still wait to be read, as a greeting does that came while nobody listened.
    if (socket.readableLength > 0 || !lends(socket)) return socket.push(Buffer.from(bytes))
    take(bytes)
    return true
  }
  handle.useUserBuffer(shared)
}
