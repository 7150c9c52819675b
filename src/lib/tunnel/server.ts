import {createServer, type Socket} from 'node:net'
import type {Duplex} from 'node:stream'
import {pipeline} from 'node:stream/promises'
import {asProblem, parseProblemLine, problem, problemLine, type SallyportError} from '../errors/index.js'
import type {Address} from '../names/index.js'
import {type Ends, endsOf, graceMilliseconds, type Log, listenAt} from '../session/index.js'
import {
  type AlgorithmChoice,
  acceptConnection,
  type Channel,
  type HostIdentity,
  openFailure,
  peerText,
} from '../ssh/index.js'
import {createArrivals} from './arrivals.js'
import {firstProtocol} from './first-bytes.js'
import {
  type ForeignDial,
  type ForeignTerms,
  foreignChannel,
  foreignEndRequest,
  readForeignTerms,
  writeForeignDial,
} from './foreign.js'
import {judgeTunnelPeer, type TunnelPeer, type TunnelTrust} from './peer.js'
import {createRegistry} from './registry.js'
import {keepAliveMilliseconds, type Transport, transportChannel, writeTransport} from './transport.js'

export interface TunnelsOptions {
  /** Port 0 picks a free one. */
  listen: Address
  /** What the proxy presents; asked for each connection. */
  hostIdentity(): Promise<HostIdentity>
  /** Whom to believe, as things are now. */
  trust(): Promise<TunnelTrust>
  /** Connects to the auth service's TLS port, for a machine at this `ip:port` that reaches the cluster by this port alone. */
  dialAuth(address: string): Promise<Duplex>
  /** Somebody was refused a tunnel; for the audit log. */
  onRefused(event: {username: string; error: SallyportError; remoteAddress: string}): void
  maxConnections: number
  algorithms?: AlgorithmChoice
  log: Log
}

/** The tunnels that are open to one proxy. */
export interface Tunnels {
  address: Address
  has(peer: TunnelPeer): boolean
  /** A stream to the peer's end, to speak SSH on. @throws host_unreachable when it keeps no tunnel here */
  dial(peer: TunnelPeer, transport: Transport): Promise<Duplex>
  /** The way to a host of a leaf, as the leaf's proxy leads to it. @throws host_unreachable, with its refusal */
  dialForeign(cluster: string, dial: ForeignDial): Promise<ForeignWay>
  /** Names of the leaf clusters that can be reached. */
  clusters(): string[]
  close(): Promise<void>
}

/** A stream to a host of a leaf, and what the leaf has to say about it. */
export interface ForeignWay {
  stream: Duplex
  terms: ForeignTerms
  /** Why the leaf has ended it, once it has said so. */
  ended(): SallyportError | undefined
}

const firstByteMilliseconds = 10_000
/** What a leaf says in the end comes to stand in somebody's terminal. */
const maxReason = 512

/**
 * Listens for tunnels. What begins as TLS is no tunnel but somebody who wants to join or to talk to the auth service: it
 * is handed to it as it is, so that both ends see each other's certificates and not ours.
 */
export async function startTunnels(options: TunnelsOptions): Promise<Tunnels> {
  const {log} = options
  const registry = createRegistry()
  const sockets = new Set<Socket>()
  const arrivals = createArrivals()
  const server = createServer({noDelay: true}, socket => {
    const ends = endsOf(socket)
    const arrival = arrivals.admit(ends.remoteIp)
    if (!arrival.admitted) {
      if (arrival.first) log.warn({peer: ends.remoteIp}, 'too many connections from one address')
      socket.destroy()
      return
    }
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
    // A peer that resets must not end the process.
    socket.on('error', () => socket.destroy())
    take(socket, ends).catch((error: unknown) => {
      socket.destroy()
      log.info({peer: ends.remoteAddress, error: problemLine(asProblem(error))}, 'no tunnel')
    })
  })
  server.maxConnections = options.maxConnections
  const take = async (socket: Socket, {remoteAddress}: Ends): Promise<void> => {
    const protocol = await firstProtocol(socket, firstByteMilliseconds)
    if (protocol === 'ssh') return takeTunnel(socket, remoteAddress)
    if (protocol === 'tls') return passToAuth(socket, () => options.dialAuth(remoteAddress))
    socket.destroy()
  }
  const takeTunnel = async (socket: Socket, remoteAddress: string): Promise<void> => {
    const [identity, trust] = await Promise.all([options.hostIdentity(), options.trust()])
    let peer: TunnelPeer | undefined
    const {connection} = await acceptConnection({
      stream: socket,
      hostKeys: [identity],
      graceMilliseconds,
      keepAliveMilliseconds,
      ...(options.algorithms && {algorithms: options.algorithms}),
      judge: (username, certificate) => {
        peer = judgeTunnelPeer(username, certificate, trust)
      },
      onRefused: (username, error) => options.onRefused({username, error, remoteAddress}),
    })
    if (!peer) throw problem('internal', 'a tunnel was accepted without a decision')
    connection.onChannelOpen = open =>
      open.reject(openFailure.administrativelyProhibited, 'a tunnel is opened from one end only')
    registry.add(peer, connection)
    log.info({...peer, address: remoteAddress}, 'tunnel open')
    const error = await connection.closed
    log.info({...peer, ...(error && {error: problemLine(error)})}, 'tunnel closed')
  }
  const open = async (peer: TunnelPeer, type: string, data: Buffer): Promise<Channel> => {
    const channel = await registry.open(peer, type, data)
    channel.stderr.resume()
    return channel
  }
  const openForeign = async (name: string, dial: ForeignDial): Promise<ForeignWay> => {
    const channel = await open({kind: 'cluster', name}, foreignChannel, writeForeignDial(dial))
    let ended: SallyportError | undefined
    channel.onRequest = ({type, data, reply}) => {
      if (type === foreignEndRequest)
        ended = parseProblemLine(peerText(data.subarray(4).toString('utf8'), maxReason), 'host_unreachable')
      reply(false)
    }
    try {
      return {stream: channel, terms: readForeignTerms(channel.answer), ended: () => ended}
    } catch (error) {
      channel.close()
      throw error
    }
  }
  const address = await listenAt(server, options.listen, log)
  return {
    address,
    has: registry.has,
    clusters: registry.clusters,
    dial: (peer, transport) => open(peer, transportChannel, writeTransport(transport)),
    dialForeign: openForeign,
    async close() {
      const closed = new Promise(resolve => server.close(resolve))
      registry.end()
      for (const socket of sockets) socket.destroySoon()
      await closed
    },
  }
}

async function passToAuth(socket: Socket, dial: () => Promise<Duplex>): Promise<void> {
  const auth = await dial()
  // Either end may break the connection; that is its end, and no news.
  await Promise.allSettled([pipeline(socket, auth), pipeline(auth, socket)])
}
