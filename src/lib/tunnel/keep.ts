import {type Socket, connect as tcpConnect} from 'node:net'
import {setTimeout as sleep} from 'node:timers/promises'
import {asProblem, problem, problemLine} from '../errors/index.js'
import type {Address} from '../names/index.js'
import type {Log} from '../session/index.js'
import {
  type ChannelOpen,
  type Credential,
  connect,
  type PresentedHostKey,
  type SshConnection,
} from '../ssh/index.js'
import {checkCertificate, hostRoleOf} from '../sshcert/index.js'
import {keepAliveMilliseconds} from './transport.js'

export interface TunnelOptions {
  /** Tunnel port of a proxy. */
  address: Address
  /** What the other end knows this one by: the UUID of a node, the name of a leaf cluster. */
  username: string
  /** The host certificate to log in with; asked at each attempt, for it is renewed. */
  credential(): Promise<Credential>
  /** The cluster whose proxy it must be, and plain public key blobs of that cluster's host authority. */
  cluster(): Promise<{name: string; hostAuthorities: readonly Buffer[]}>
  /** The proxy opens a channel: accepts or rejects it. What it throws ends the tunnel. */
  onChannelOpen(open: ChannelOpen): void
  log: Log
  /** Unix ms. */
  now: () => number
  /** From 0 to 1, for the length of pauses. */
  random?: () => number
}

/** A tunnel that is kept open from this end until it is closed here. */
export interface Tunnel {
  /** Resolves when it is open for the first time, or closed for good. */
  opened: Promise<void>
  close(): Promise<void>
}

const connectMilliseconds = 10_000
const handshakeMilliseconds = 30_000
const firstPauseMilliseconds = 500
const longestPauseMilliseconds = 30_000
/** A tunnel that held this long was a good one: the next attempt after it does not wait long. */
const goodMilliseconds = 60_000

/** Opens a tunnel to a proxy and opens it again whenever it breaks. */
export function keepTunnel(options: TunnelOptions): Tunnel {
  const {address, log, now, random = Math.random} = options
  const stop = new AbortController()
  let current: SshConnection | undefined
  let opened: () => void = () => undefined
  const first = new Promise<void>(resolve => {
    opened = resolve
  })
  const once = async (): Promise<void> => {
    const connection = await open(options, stop.signal)
    current = connection
    if (stop.signal.aborted) connection.disconnect()
    log.info({proxy: address}, 'tunnel open')
    opened()
    const error = await connection.closed
    current = undefined
    if (error) throw error
  }
  const keep = async (): Promise<void> => {
    let pause = firstPauseMilliseconds
    while (!stop.signal.aborted) {
      const begun = now()
      const error = await once().catch((thrown: unknown) => thrown)
      if (stop.signal.aborted) break
      if (now() - begun > goodMilliseconds) pause = firstPauseMilliseconds
      const why = error === undefined ? {} : {error: problemLine(asProblem(error))}
      log.warn({proxy: address, ...why, again_ms: pause}, 'no tunnel')
      // Machines that lost the same proxy must not all come back in the same moment.
      await sleep(pause * (0.5 + random() / 2), undefined, {signal: stop.signal}).catch(() => undefined)
      pause = Math.min(pause * 2, longestPauseMilliseconds)
    }
    opened()
  }
  const keeping = keep()
  return {
    opened: first,
    async close() {
      stop.abort()
      current?.disconnect()
      await keeping
    },
  }
}

async function open(options: TunnelOptions, signal: AbortSignal): Promise<SshConnection> {
  const {address, cluster, credential, username, onChannelOpen} = options
  const {name, hostAuthorities} = await cluster()
  const verify = (key: PresentedHostKey): void =>
    verifyTunnelProxy(key, {host: address.host, cluster: name, hostAuthorities, now: options.now()})
  const connection = await connect({
    stream: await openSocket(address, signal),
    username,
    credentials: async () => [await credential()],
    verifyHostKey: async key => verify(key),
    timeoutMilliseconds: handshakeMilliseconds,
    keepAliveMilliseconds,
  })
  connection.onChannelOpen = onChannelOpen
  return connection
}

export interface TunnelProxyPolicy {
  /** As dialled. */
  host: string
  cluster: string
  hostAuthorities: readonly Buffer[]
  /** Unix ms. */
  now: number
}

/**
 * Decides whether this is a proxy of the cluster: a proxy's certificate of its host authority, for the name dialled or
 * for the cluster. A node of the cluster could otherwise stand in for a proxy. Pure.
 * @throws host_key_refused, certificate_rejected, certificate_expired, clock_skew
 */
export function verifyTunnelProxy({certificate}: PresentedHostKey, policy: TunnelProxyPolicy): void {
  if (!certificate) throw problem('host_key_refused', 'the proxy presented a plain key, not a certificate')
  const {host, cluster, hostAuthorities, now} = policy
  const principal = certificate.principals.includes(cluster) ? cluster : host
  checkCertificate(certificate, {kind: 'host', authorities: hostAuthorities, principal, now})
  if (hostRoleOf(certificate).role !== 'Proxy')
    throw problem('host_key_refused', 'what answers at the tunnel port is no proxy of the cluster')
}

function openSocket({host, port}: TunnelOptions['address'], signal: AbortSignal): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = tcpConnect({host, port, noDelay: true, signal})
    const fail = (why: string, cause?: unknown): void => {
      clearTimeout(timer)
      socket.destroy()
      reject(
        problem('proxy_unreachable', `the tunnel port ${host}:${port} cannot be reached: ${why}`, {cause}),
      )
    }
    const timer = setTimeout(() => fail('no answer in 10 s'), connectMilliseconds)
    // For good: a reset before anybody uses the connection must not end the process.
    socket.on('error', error => fail(error.message, error))
    socket.once('connect', () => {
      clearTimeout(timer)
      resolve(socket)
    })
  })
}
