import {createServer, type Server, type Socket} from 'node:net'
import type {Duplex} from 'node:stream'
import type {AuditInput} from '../audit/event.js'
import type {AuthApi, Caller} from '../auth/contract.js'
import {asProblem, problem, problemLine, type SallyportError} from '../errors/index.js'
import {
  type Forwarder,
  type ForwardLog,
  type ForwardSettings,
  identityOf,
  type OuterConnection,
} from '../forward/index.js'
import {type AlgorithmChoice, acceptConnection, type SshConnection} from '../ssh/index.js'
import {checkCertificate} from '../sshcert/index.js'
import type {ProxyContext} from './context.js'
import type {DialRules} from './dial-policy.js'
import {serveClient} from './front.js'
import {createHostCertificates, type HostCertificates} from './host-certificates.js'

/** sshd's LoginGraceTime is 120 s; a certificate needs no typing. */
const graceMilliseconds = 30_000

export interface ProxyOptions {
  /** Port 0 picks a free one. */
  listen: {host: string; port: number}
  /** Names and addresses by which clients reach the proxy: principals of its own host certificate. */
  names: readonly string[]
  clusterName: string
  /** UUID or name of this proxy, for `forwarded_by`. */
  proxyId: string
  recording: boolean
  checkHostKeys: boolean
  dial: DialRules
  /** Ports of the cluster's services on this machine, besides the proxy's SSH port. */
  ownPorts: () => readonly number[]
  maxConnections: number
  keepAliveMilliseconds: number
  algorithms?: AlgorithmChoice
  /** As `{kind: 'system', role: 'proxy'}`. */
  auth: AuthApi
  serveApi(stream: Duplex, caller: Caller): void
  log: ForwardLog
  now: () => number
  sessionId: () => string
}

export interface Proxy {
  address: {host: string; port: number}
  /** Stops listening, gives sessions this long to end by themselves, then ends them and waits for their records. */
  close(drainMilliseconds: number): Promise<void>
}

/** Starts the proxy's SSH front. @throws the listen error, e.g. EADDRINUSE */
export async function startProxy(options: ProxyOptions): Promise<Proxy> {
  const certificates = createHostCertificates(options.auth, options.now)
  const forwarders = new Set<Forwarder>()
  const connections = new Set<SshConnection>()
  const server = createServer({noDelay: true})
  server.maxConnections = options.maxConnections
  const address = await listen(server, options.listen)
  const context = createContext(options, certificates, forwarders, address.port)
  // Signed once now, so that the first client does not wait and a broken CA shows at start.
  await certificates.for(options.names)
  server.on('connection', socket => {
    acceptClient(socket, options, certificates).then(
      ({connection, outer}) => {
        connections.add(connection)
        void connection.closed.then(() => connections.delete(connection))
        serveClient(context, connection, outer)
      },
      (error: SallyportError) =>
        options.log.info({peer: socket.remoteAddress, error: problemLine(error)}, 'client left'),
    )
  })
  return {
    address,
    async close(drainMilliseconds) {
      server.close()
      await endForwarders(forwarders, drainMilliseconds)
      for (const connection of connections) connection.disconnect()
    },
  }
}

function listen(
  server: Server,
  {host, port}: {host: string; port: number},
): Promise<{host: string; port: number}> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, host, () => {
      server.removeListener('error', reject)
      const address = server.address()
      if (address === null || typeof address === 'string')
        return reject(problem('internal', 'no TCP address'))
      resolve({host: address.address, port: address.port})
    })
  })
}

function createContext(
  options: ProxyOptions,
  certificates: HostCertificates,
  forwarders: Set<Forwarder>,
  port: number,
): ProxyContext {
  const {auth, clusterName, proxyId, log} = options
  const report = reporter(options)
  const forwardSettings: ForwardSettings = {
    ...{auth, clusterName, proxyId, graceMilliseconds, report, log},
    checkHostKeys: options.checkHostKeys,
    keepAliveMilliseconds: options.keepAliveMilliseconds,
    ...(options.algorithms && {algorithms: options.algorithms}),
    now: options.now,
    sessionId: options.sessionId,
    hostIdentity: name => certificates.for([name]),
  }
  const dial = {
    rules: options.dial,
    loopbackOnly: isLoopback(options.listen.host),
    ownPorts: () => [port, ...options.ownPorts()],
  }
  return {
    ...{auth, clusterName, proxyId, log, dial, forwardSettings, forwarders},
    recording: options.recording,
    serveApi: options.serveApi,
  }
}

/** Writes events that nobody can wait for; what cannot be written is at least in the log. */
const reporter =
  ({auth, log}: ProxyOptions) =>
  (input: AuditInput): void => {
    auth
      .emit(input)
      .catch(error =>
        log.warn({event: input.event, error: problemLine(asProblem(error))}, 'audit event lost'),
      )
  }

const isLoopback = (host: string): boolean => /^127\.|^::1$|^localhost$/.test(host)

async function acceptClient(
  socket: Socket,
  options: ProxyOptions,
  certificates: HostCertificates,
): Promise<{connection: SshConnection; outer: OuterConnection}> {
  const remoteIp = (socket.remoteAddress ?? '').replace(/^::ffff:/i, '')
  const remoteAddress = `${remoteIp}:${socket.remotePort}`
  const localAddress = `${(socket.localAddress ?? '').replace(/^::ffff:/i, '')}:${socket.localPort}`
  // Errors before the transport listens, such as a reset in the meantime, must not end the process.
  socket.on('error', () => undefined)
  const [identity, authorities] = await Promise.all([
    certificates.for(options.names),
    options.auth.trustedAuthorities(),
  ])
  const {connection, user} = await acceptConnection({
    stream: socket,
    hostKeys: [identity],
    graceMilliseconds,
    keepAliveMilliseconds: options.keepAliveMilliseconds,
    ...(options.algorithms && {algorithms: options.algorithms}),
    // The name given to the proxy itself is not a login: identity is the certificate.
    judge: (_username, certificate) =>
      checkCertificate(certificate, {
        kind: 'user',
        authorities: authorities.user,
        now: options.now(),
        remoteAddress: remoteIp,
      }),
    onRefused: (username, error) =>
      reporter(options)({
        event: 'auth',
        success: false,
        user: username,
        error: error.message,
        'addr.remote': remoteAddress,
        'addr.local': localAddress,
        proto: 'ssh',
      }),
  })
  return {
    connection,
    outer: {
      identity: identityOf(user.certificate),
      ...{remoteAddress, localAddress, remoteIp},
      openAgent: () => connection.openChannel('auth-agent@openssh.com'),
    },
  }
}

async function endForwarders(forwarders: ReadonlySet<Forwarder>, drainMilliseconds: number): Promise<void> {
  const done = (): Promise<unknown> => Promise.all([...forwarders].map(forwarder => forwarder.done))
  let timer: NodeJS.Timeout | undefined
  const patience = new Promise(resolve => {
    timer = setTimeout(resolve, drainMilliseconds)
  })
  await Promise.race([done(), patience])
  clearTimeout(timer)
  const reason = problem('unavailable', 'the proxy is shutting down', {hint: 'connect again in a moment'})
  for (const forwarder of forwarders) forwarder.end(reason)
  await done()
}
