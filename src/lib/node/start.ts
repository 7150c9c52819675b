import {createServer} from 'node:net'
import type {Duplex} from 'node:stream'
import type {HostRecord} from '../access/hosts.js'
import type {Lock} from '../access/locks.js'
import type {CommandLabel} from '../config/index.js'
import {asProblem, isAway, problemLine} from '../errors/index.js'
import {type Address, hostOfAddress} from '../names/index.js'
import {
  createGuard,
  createNewcomers,
  drain,
  type Ends,
  endsOf,
  graceMilliseconds,
  type LockWatch,
  type Log,
  limitRefusals,
  listenAt,
  type Newcomers,
  reporter,
  type ServedClient,
  type SessionHub,
  shuttingDown,
  startLockWatch,
} from '../session/index.js'
import type {AlgorithmChoice, HostIdentity, HostKeyStore} from '../ssh/index.js'
import {admit} from './admit.js'
import {serveNodeClient} from './connection.js'
import {startHeartbeat} from './heartbeat.js'
import {type HostCertificate, obtainHostCertificate} from './host-certificate.js'
import {serveJoiner} from './joiner.js'
import {startLabels} from './labels.js'
import type {NodeAuth, NodeSettings, NodeSystem} from './types.js'
import type {UserSockets} from './user-sockets.js'

/** Connections of one address, and of all of them, that nobody has logged in on yet. */
const newcomersLimits = {perAddress: 128, inAll: 1024}

export interface NodeOptions {
  /** Port 0 picks a free one. */
  listen: Address
  /** Where others reach the node, once it is known where it listens; undefined: nowhere but through its tunnel. */
  advertise(listening: Address): string | undefined
  /** It keeps tunnels open to the proxies. */
  tunnel?: boolean
  clusterName: string
  /** How the cluster records, as last heard. */
  recording: NodeSettings['recording']
  hostId: string
  nodename: string
  version: string
  labels: Readonly<Record<string, string>>
  commandLabels: readonly CommandLabel[]
  maxConnections: number
  keepAliveMilliseconds: number
  /** Default: 30 s. */
  graceMilliseconds?: number
  algorithms?: AlgorithmChoice
  /** As `{kind: 'system', role: 'node', hostId}`. */
  auth: NodeAuth
  /** The sessions that this process holds. */
  hub: Pick<SessionHub, 'host' | 'find'>
  /** Where it is not the one process with the auth service. */
  hostKeys?: HostKeyStore
  /** Those to begin with where nobody can be asked. */
  knownLocks?: readonly Lock[]
  system: NodeSystem
  sockets: UserSockets
  log: Log
  now: () => number
  sessionId: () => string
}

export interface Node {
  address: Address
  /** What the node shows of itself now. */
  hostIdentity(): HostIdentity
  /** Serves a connection that came through a tunnel; its ends are what the proxy says they are. */
  serve(stream: Duplex, ends: Pick<Ends, 'remoteAddress' | 'localAddress'>): void
  /** Stops listening, gives sessions this long to end by themselves, then ends them and waits for their records. */
  close(drainMilliseconds: number): Promise<void>
}

/** Starts the node's SSH server. @throws what the auth service says, and the listen error, e.g. EADDRINUSE */
export async function startNode(options: NodeOptions): Promise<Node> {
  const {auth, log} = options
  const closing: (() => unknown)[] = []
  const closeAll = async (): Promise<void> => {
    for (const close of closing.splice(0).reverse()) await close()
  }
  try {
    const authorities = await lastHeard(auth)
    const certificate = await obtainHostCertificate(options)
    const locks = await startLockWatch(options)
    closing.push(locks.close)
    const labels = await startLabels({fixed: options.labels, commands: options.commandLabels, log})
    closing.push(labels.close)
    const refusals = limitRefusals(reporter(options))
    closing.push(refusals.flush)
    const state: NodeState = {
      ...{options, clients: new Map(), newcomers: createNewcomers(newcomersLimits), draining: false},
      settings: {
        ...createSettings(options, authorities, certificate, locks),
        ...{report: refusals.report, labels: labels.current},
      },
    }
    const server = createServer({noDelay: true}, socket => takeClient(state, socket, endsOf(socket)))
    server.maxConnections = options.maxConnections
    const address = await listenAt(server, options.listen, log)
    closing.push(() => void server.close())
    const heartbeat = await startHeartbeat({
      ...{auth, log},
      record: () => hostRecord(options, labels.current(), address),
      onBeat: certificate.renew,
    })
    closing.push(heartbeat.close)
    return {
      address,
      hostIdentity: certificate.current,
      serve: (stream, ends) =>
        takeClient(state, stream, {...ends, remoteIp: hostOfAddress(ends.remoteAddress)}),
      async close(drainMilliseconds) {
        state.draining = true
        server.close()
        await endClients(state.clients, drainMilliseconds)
        await closeAll()
      },
    }
  } catch (error) {
    await closeAll()
    throw error
  }
}

/** The authorities of the cluster: asked when they are needed, kept where that fails. */
async function lastHeard(auth: NodeAuth): Promise<NodeSettings['authorities']> {
  let authorities = await auth.trustedAuthorities()
  return async () => {
    // Certificates go on being checked by what was known last while the auth service is away.
    try {
      authorities = await auth.trustedAuthorities()
    } catch (error) {
      if (!isAway(error)) throw error
    }
    return authorities
  }
}

function createSettings(
  options: NodeOptions,
  authorities: NodeSettings['authorities'],
  certificate: HostCertificate,
  locks: LockWatch,
): Omit<NodeSettings, 'report' | 'labels'> {
  const {auth, system, hub, hostId, nodename, clusterName, recording, now, sessionId, log} = options
  return {
    ...{auth, system, hub, hostId, nodename, clusterName, recording, authorities, now, sessionId, log},
    ...{locks, guard: createGuard(locks)},
    hostIdentity: async () => certificate.current(),
    graceMilliseconds: options.graceMilliseconds ?? graceMilliseconds,
    keepAliveMilliseconds: options.keepAliveMilliseconds,
    ...(options.algorithms && {algorithms: options.algorithms}),
  }
}

const hostRecord = (
  {hostId, nodename, version, advertise, tunnel = false}: NodeOptions,
  labels: Record<string, string>,
  listening: Address,
): HostRecord => {
  const address = advertise(listening)
  return {
    ...{id: hostId, subKind: 'node', hostname: nodename.toLowerCase(), labels, version},
    ...(address !== undefined && {address}),
    ...(tunnel && {tunnel}),
  }
}

interface NodeState {
  options: NodeOptions
  settings: NodeSettings
  newcomers: Newcomers
  /** Every connection, and who logged in on it; the promise resolves when all about it is on record. */
  clients: Map<Duplex, {client?: ServedClient; done: Promise<void>}>
  draining: boolean
}

function takeClient(state: NodeState, socket: Duplex, peer: Ends): void {
  const {clients, newcomers, settings, options} = state
  if (state.draining) return void socket.destroy()
  // Errors before the transport listens, such as a reset in the meantime, must not end the process.
  socket.on('error', () => undefined)
  newcomers.arrive(socket, peer.remoteIp)
  const serve = async (): Promise<void> => {
    const admitted = await admit(settings, peer, socket)
    newcomers.leave(socket)
    const client =
      'login' in admitted
        ? serveNodeClient(settings, options.sockets, admitted, peer)
        : serveJoiner(settings, admitted, peer)
    Object.assign(entry, {client})
    if (state.draining) client.end(shuttingDown('node'))
    await client.done
  }
  const entry = {done: Promise.resolve()}
  clients.set(socket, entry)
  entry.done = serve()
    .catch(error => {
      socket.destroy()
      options.log.info({peer: peer.remoteIp, error: problemLine(asProblem(error))}, 'client left')
    })
    .finally(() => clients.delete(socket))
}

async function endClients(clients: NodeState['clients'], milliseconds: number): Promise<void> {
  for (const [socket, {client}] of clients) if (!client) socket.destroy()
  const done = Promise.all([...clients.values()].map(entry => entry.done))
  await drain({
    ...{milliseconds, done: () => done},
    end() {
      for (const {client} of clients.values()) client?.end(shuttingDown('node'))
    },
  })
}
