import {createServer, type Socket} from 'node:net'
import type {Duplex} from 'node:stream'
import {isLoopback, type Lock} from '../access/index.js'
import type {Ping} from '../auth/contract.js'
import type {SystemApi} from '../auth/system-api.js'
import {asProblem, problemLine} from '../errors/index.js'
import type {ForwardSettings, OuterConnection} from '../forward/index.js'
import type {Address} from '../names/index.js'
import {
  acceptClient,
  createGuard,
  createNewcomers,
  drain,
  endsOf,
  graceMilliseconds,
  type LockWatch,
  type Log,
  limitRefusals,
  listenAt,
  type Newcomers,
  personOf,
  type RefusalReporter,
  reporter,
  type ServedClient,
  type SessionHub,
  shuttingDown,
  startLockWatch,
} from '../session/index.js'
import type {AlgorithmChoice, HostKeyStore, SshConnection} from '../ssh/index.js'
import {isPinned} from '../sshcert/index.js'
import type {Tunnels} from '../tunnel/index.js'
import type {ProxyContext, ServeApi} from './context.js'
import type {DialSettings} from './dial.js'
import {type DialRules, dialPolicy} from './dial-policy.js'
import {serveClient} from './front.js'
import {createHostCertificates, type HostCertificates} from './host-certificates.js'
import {createNamedHosts} from './named-hosts.js'
import {startProxyTunnels} from './tunnels.js'

/**
 * Connections of one address, and of all of them, that nobody has logged in on yet: many clients may be behind one, and
 * begin at the same moment.
 */
const newcomersLimits = {perAddress: 1024, inAll: 4096}

export interface ProxyOptions {
  /** Port 0 picks a free one. */
  listen: Address
  /** Names and addresses by which clients reach the proxy: principals of its own host certificate. */
  names: readonly string[]
  clusterName: string
  /** UUID of this machine. */
  hostId: string
  /** Name of this proxy, for `forwarded_by`. */
  proxyId: string
  recording: boolean
  /** How the cluster records. */
  mode: Ping['recording']
  checkHostKeys: boolean
  dial: DialRules
  /** Ports of the cluster's services on this machine, besides the proxy's SSH port. */
  ownPorts: () => readonly number[]
  maxConnections: number
  keepAliveMilliseconds: number
  algorithms?: AlgorithmChoice
  /** As `{kind: 'system', role: 'proxy'}`. */
  auth: SystemApi
  /** The sessions that this process holds. */
  hub: SessionHub
  /** Where it is not the one process with the auth service. */
  hostKeys?: HostKeyStore
  /** Those to begin with where nobody can be asked. */
  knownLocks?: readonly Lock[]
  /** Where nodes and leaves open their tunnels. */
  tunnelListen: Address
  /** Connects to the auth service's TLS port, as somebody at this `ip:port`. */
  dialAuth(address: string): Promise<Duplex>
  serveApi: ServeApi
  log: Log
  now: () => number
  sessionId: () => string
}

export interface Proxy {
  address: Address
  /** Where tunnels are opened to. */
  tunnelAddress: Address
  /** Makes sure that it can stand in for these hosts, each by all its names, while the auth service is away. */
  keepSpares(hosts: readonly (readonly string[])[]): Promise<void>
  /** Other rules for connections that begin from now on. @throws config_invalid, and nothing has changed */
  useDialRules(rules: DialRules): void
  /** Stops listening, gives sessions this long to end by themselves, then ends them and waits for their records. */
  close(drainMilliseconds: number): Promise<void>
}

/** Starts the proxy's SSH front. @throws config_invalid, and the listen error, e.g. EADDRINUSE */
export async function startProxy(options: ProxyOptions): Promise<Proxy> {
  const certificates = createHostCertificates(options.auth, options.now, options.hostKeys)
  // Signed once now, so that the first client does not wait and a broken CA shows at start.
  await certificates.for(options.names)
  const locks = await startLockWatch(options)
  const refusals = limitRefusals(reporter(options))
  const state: ProxyState = {
    ...{options, certificates, locks, refusals},
    ...{forwarders: new Set(), clients: new Map(), newcomers: createNewcomers(newcomersLimits)},
    draining: false,
    ports: [options.listen.port, options.tunnelListen.port],
  }
  const guard = createGuard(locks)
  const dial = dialSettings(state)
  const named = createNamedHosts({auth: options.auth, dial})
  const closeAll = async (tunnels?: Tunnels): Promise<void> => {
    refusals.flush()
    await Promise.all([tunnels?.close(), locks.close()])
  }
  const tunnels = await startProxyTunnels({
    ...{...options, certificates, guard, dial, named, listen: options.tunnelListen},
    ...{report: refusals.report, running: state.forwarders, draining: () => state.draining},
  }).catch(async error => {
    await closeAll()
    throw error
  })
  const context = createContext(state, {guard, dial, named, tunnels})
  const server = createServer({noDelay: true}, socket => takeClient(state, context, socket))
  server.maxConnections = options.maxConnections
  const address = await listenAt(server, options.listen, options.log).catch(async error => {
    await closeAll(tunnels)
    throw error
  })
  state.ports = [address.port, tunnels.address.port]
  return {
    address,
    tunnelAddress: tunnels.address,
    keepSpares: hosts => certificates.keepSpares([options.names, ...hosts]),
    useDialRules(rules) {
      dial.policy = dialPolicy(rules)
    },
    async close(drainMilliseconds) {
      state.draining = true
      server.close()
      await endForwarders(state.forwarders, drainMilliseconds)
      await hangUp(state.clients)
      await closeAll(tunnels)
    },
  }
}

interface ProxyState {
  options: ProxyOptions
  certificates: HostCertificates
  locks: LockWatch
  refusals: RefusalReporter
  forwarders: Set<ServedClient>
  newcomers: Newcomers
  /** Every connection, and who logged in on it. */
  clients: Map<Socket, SshConnection | undefined>
  draining: boolean
  /** Where it listens. */
  ports: number[]
}

function takeClient(state: ProxyState, context: ProxyContext, socket: Socket): void {
  const {clients, newcomers, options} = state
  clients.set(socket, undefined)
  newcomers.arrive(socket, endsOf(socket).remoteIp)
  socket.once('close', () => clients.delete(socket))
  const peer = socket.remoteAddress
  takeIn(socket, options, state).then(
    ({connection, outer, certificate}) => {
      newcomers.leave(socket)
      if (clients.has(socket)) clients.set(socket, connection)
      serveClient(context, connection, outer, certificate)
    },
    (error: unknown) => {
      socket.destroy()
      options.log.info({peer, error: problemLine(asProblem(error))}, 'client left')
    },
  )
}

const dialSettings = (state: ProxyState): DialSettings => ({
  policy: dialPolicy(state.options.dial),
  loopbackOnly: isLoopback(state.options.listen.host),
  ownPorts: () => [...state.ports, ...state.options.ownPorts()],
})

function createContext(
  state: ProxyState,
  ways: Pick<ProxyContext, 'guard' | 'dial' | 'named' | 'tunnels'>,
): ProxyContext {
  const {options, certificates, forwarders, locks} = state
  const {hub} = options
  const {guard} = ways
  const {auth, clusterName, proxyId, log} = options
  const forwardSettings: ForwardSettings = {
    ...{auth, guard, hub, clusterName, proxyId, graceMilliseconds, log},
    report: reporter(options),
    checkHostKeys: options.checkHostKeys,
    keepAliveMilliseconds: options.keepAliveMilliseconds,
    ...(options.algorithms && {algorithms: options.algorithms}),
    now: options.now,
    sessionId: options.sessionId,
    hostIdentity: name => certificates.for([name]),
  }
  return {
    ...{auth, clusterName, proxyId, hostId: options.hostId, log},
    ...{forwardSettings, forwarders, hub, locks, ...ways},
    now: options.now,
    draining: () => state.draining,
    recording: options.recording,
    mode: options.mode,
    serveApi: options.serveApi,
  }
}

async function takeIn(
  socket: Socket,
  options: ProxyOptions,
  {certificates, locks, refusals}: Pick<ProxyState, 'certificates' | 'locks' | 'refusals'>,
): Promise<{connection: SshConnection; outer: OuterConnection; certificate: Buffer}> {
  const ends = endsOf(socket)
  // Errors before the transport listens, such as a reset in the meantime, must not end the process.
  socket.on('error', () => undefined)
  const [hostIdentity, {user}] = await Promise.all([
    certificates.for(options.names),
    options.auth.trustedAuthorities(),
  ])
  const {connection, certificate, identity} = await acceptClient(
    {...options, graceMilliseconds, report: refusals.report},
    {
      ...{stream: socket, ends, hostIdentity, userAuthorities: user},
      refusal: username => ({user: username}),
    },
    // The name given to the proxy itself is not a login: identity is the certificate.
    {
      principal: () => false,
      judge: (_username, {identity}) => locks.check(personOf(identity), 'best_effort'),
    },
  )
  const openAgent = () => connection.openChannel('auth-agent@openssh.com')
  const outer = {...ends, identity, openAgent, pinned: isPinned(certificate)}
  return {connection, certificate: certificate.blob, outer}
}

async function endForwarders(forwarders: ReadonlySet<ServedClient>, milliseconds: number): Promise<void> {
  await drain({
    milliseconds,
    async done() {
      while (forwarders.size > 0) await Promise.all([...forwarders].map(forwarder => forwarder.done))
    },
    end() {
      for (const forwarder of forwarders) forwarder.end(shuttingDown('proxy'))
    },
  })
}

/** Resolves when everybody has our last words or has had time to take them; the transport sees to that. */
async function hangUp(clients: ReadonlyMap<Socket, SshConnection | undefined>): Promise<void> {
  const closed = [...clients].map(([socket, connection]) => {
    const gone = new Promise(resolve => socket.once('close', resolve))
    if (connection) connection.disconnect()
    else socket.destroy()
    return gone
  })
  await Promise.all(closed)
}
