import type {Duplex} from 'node:stream'
import type {Caller, Ping} from '../auth/contract.js'
import type {SystemApi} from '../auth/system-api.js'
import type {ForwardSettings} from '../forward/index.js'
import type {ConnectionGuard, LockWatch, Log, ServedClient, SessionHub} from '../session/index.js'
import type {Tunnels} from '../tunnel/index.js'
import type {DialSettings} from './dial.js'
import type {NamedHosts} from './named-hosts.js'

/** By what a user is known on a connection: a certificate that was verified there, with the proof of its key. */
export interface UserProof {
  /** Blob. */
  certificate: Buffer
  /** IP address of the user. */
  address: string
}

/** Serves the auth API on a stream to a user. */
export type ServeApi = (stream: Duplex, caller: Caller, proof: UserProof) => void

/** What all connections of one proxy share. */
export interface ProxyContext {
  auth: SystemApi
  clusterName: string
  proxyId: string
  /** UUID of this machine. */
  hostId: string
  /** The proxy ends and records SSH connections; otherwise it passes on what it cannot read. */
  recording: boolean
  /** How the cluster records: where the proxy does not, a node may. */
  mode: Ping['recording']
  dial: DialSettings
  named: NamedHosts
  tunnels: Tunnels
  forwardSettings: ForwardSettings
  guard: ConnectionGuard
  /** The sessions that run here. */
  hub: SessionHub
  locks: LockWatch
  forwarders: Set<ServedClient>
  /** The proxy is on its way out and leads nobody anywhere any more. */
  draining(): boolean
  serveApi: ServeApi
  log: Log
  /** Unix ms. */
  now: () => number
}
