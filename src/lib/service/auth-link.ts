import {once} from 'node:events'
import {connect, type Socket} from 'node:net'
import type {Duplex} from 'node:stream'
import type {Lock} from '../access/index.js'
import type {AnonymousApi, Caller, SystemApi} from '../auth/index.js'
import type {Config} from '../config/index.js'
import {problem} from '../errors/index.js'
import type {Address} from '../names/index.js'
import type {ServeApi} from '../proxy/index.js'
import type {HostKeyStore} from '../ssh/index.js'
import {within} from '../waiting/index.js'
import type {AuthRoom} from './auth.js'
import {isWildcard} from './listening.js'
import type {Part} from './parts/part.js'

/** What the cluster's configuration says that its roles have to know. */
export interface ClusterFacts {
  clusterName: string
  recording: Config['auth']['sessionRecording']
  /** Whether a target must present a host certificate. */
  checkHostKeys: boolean
  keepAliveMilliseconds: number
}

/** How the proxy and the node reach the auth service: in this process, or on another machine. */
export interface AuthLink {
  cluster: ClusterFacts
  /** As this role of this machine. */
  as(role: 'proxy' | 'node'): SystemApi
  /** How the cluster records, as this role heard last. */
  recording(role: 'proxy' | 'node'): Config['auth']['sessionRecording']
  /** Of an auth service elsewhere: what a role may have to begin with. */
  beginning?(role: 'proxy' | 'node'): {hostKeys: HostKeyStore; knownLocks?: readonly Lock[]}
  /** For the web: as somebody without a name. */
  web: {as(caller: Caller & {kind: 'anonymous'}): AnonymousApi}
  serveApi: ServeApi
  /** Connects to the auth service's port for other machines, as somebody at this `ip:port`. @throws unavailable */
  dialAuth(address: string): Promise<Duplex>
  /** Of an auth service elsewhere: the hosts of the inventory, each by its names. */
  hostNames?(): string[][]
  /** Tells an auth service elsewhere where users reach the web port of this proxy. */
  announce?(webUrl: string): void
}

/** The auth service in this process. */
export const localLink = ({config, hostId}: Part, auth: AuthRoom, listen: Address): AuthLink => ({
  cluster: {
    clusterName: config.auth.clusterName,
    recording: config.auth.sessionRecording,
    checkHostKeys: config.auth.proxyChecksHostKeys,
    keepAliveMilliseconds: config.auth.keepAliveIntervalMs,
  },
  recording: () => config.auth.sessionRecording,
  as: role => auth.service.as({kind: 'system', role, hostId}),
  web: auth.service,
  serveApi: auth.serve,
  async dialAuth(address) {
    const socket = await dial({...listen, host: isWildcard(listen.host) ? '127.0.0.1' : listen.host})
    auth.carried.note(`${socket.localAddress}:${socket.localPort}`, address)
    return socket
  },
})

const connectMilliseconds = 10_000

/** @throws unavailable */
export async function dial({host, port}: Address): Promise<Socket> {
  const socket = connect({host, port, noDelay: true})
  // For good: a reset before anybody uses the connection must not end the process.
  socket.on('error', () => socket.destroy())
  try {
    await within(connectMilliseconds, once(socket, 'connect'), () => {
      throw problem('timeout', 'no answer')
    })
    return socket
  } catch (cause) {
    socket.destroy()
    throw problem('unavailable', 'the auth service cannot be reached', {cause})
  }
}
