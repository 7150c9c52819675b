import type {IncomingMessage, ServerResponse} from 'node:http'
import type {Server} from 'node:https'
import type {Socket} from 'node:net'

/** What is connected to a server, and the right to end it. */
export interface ConnectionTracker {
  count(): number
  /** Ends every connection that has no request in progress, the ones still shaking hands included. */
  endIdle(): void
  endAll(): void
}

/**
 * Caps the open connections of `server`. When one more arrives, the connection that has been without a request for
 * longest is ended: a thousand silent sockets cannot keep out a client that speaks. When every connection is in
 * the middle of a request the newcomer is ended instead.
 */
export function trackConnections(server: Server, max: number): ConnectionTracker {
  // Keyed by peer, because TCP and TLS see different socket objects. Insertion order is the order of falling idle.
  const idle = new Map<string, Socket>()
  const busy = new Map<string, Socket>()

  server.on('connection', (socket: Socket) => {
    const peer = peerOf(socket)
    if (idle.size + busy.size >= max && !endOldest()) {
      socket.destroy()
      return
    }
    idle.set(peer, socket)
    socket.once('close', () => forget(peer, socket))
  })
  server.on('request', (request: IncomingMessage, reply: ServerResponse) => {
    const peer = peerOf(request.socket)
    move(peer, idle, busy)
    reply.once('close', () => move(peer, busy, idle))
  })

  function endOldest(): boolean {
    const oldest = idle.entries().next().value
    if (!oldest) return false
    idle.delete(oldest[0])
    oldest[1].destroy()
    return true
  }

  // The kernel may give the same peer address to a new connection before the old one's close is reported.
  function forget(peer: string, socket: Socket): void {
    for (const connections of [idle, busy]) if (connections.get(peer) === socket) connections.delete(peer)
  }

  const endEvery = (connections: Map<string, Socket>) => {
    for (const socket of connections.values()) socket.destroy()
  }
  return {
    count: () => idle.size + busy.size,
    endIdle: () => endEvery(idle),
    endAll: () => [idle, busy].forEach(endEvery),
  }
}

const peerOf = (socket: Socket): string => `${socket.remoteAddress} ${socket.remotePort}`

function move(peer: string, from: Map<string, Socket>, to: Map<string, Socket>): void {
  const socket = from.get(peer)
  if (!socket) return
  from.delete(peer)
  to.set(peer, socket)
}
