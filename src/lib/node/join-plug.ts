import type {Duplex, Readable, Writable} from 'node:stream'
import {relay} from '../session/index.js'
import type {Channel} from '../ssh/index.js'

/** The end of a forwarded connection on this host; each direction ends by itself. */
export interface Plug {
  readable: Readable
  writable: Writable
  /** Ends both directions at once. */
  destroy(): void
  /** Resolves when it is gone. Never rejects. */
  closed: Promise<void>
}

/** @param socket one that allows half-open connections */
export function streamPlug(socket: Duplex): Plug {
  const closed = new Promise<void>(resolve => {
    if (socket.destroyed) resolve()
    else socket.once('close', () => resolve())
  })
  // What it breaks with is of no interest: `close` follows, and the peer sees the end.
  socket.on('error', () => undefined)
  return {readable: socket, writable: socket, destroy: () => void socket.destroy(), closed}
}

/**
 * Joins a channel and a connection on this host, with back-pressure; resolves when both directions are done. Either end
 * that breaks takes the other with it.
 * @param onBytes told of what passes, either way
 */
export async function joinPlug(channel: Channel, plug: Plug, onBytes: () => void): Promise<void> {
  const touch = (): undefined => {
    onBytes()
    return undefined
  }
  channel.stderr.resume()
  const inward = relay(channel, plug.writable, touch).then(() => void plug.writable.end())
  const outward = relay(plug.readable, channel, touch).then(() => void channel.end())
  if (channel.isClosed) plug.destroy()
  else channel.onClosed = () => plug.destroy()
  void plug.closed.then(() => outward).then(() => channel.close())
  await Promise.all([inward, outward])
}
