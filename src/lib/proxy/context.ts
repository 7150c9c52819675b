import type {Duplex} from 'node:stream'
import type {AuthApi, Caller} from '../auth/contract.js'
import type {Forwarder, ForwardSettings} from '../forward/index.js'
import type {ConnectionGuard, LockWatch, Log, SessionHub} from '../session/index.js'
import type {DialSettings} from './dial.js'

/** What all connections of one proxy share. */
export interface ProxyContext {
  auth: AuthApi
  clusterName: string
  proxyId: string
  /** The proxy ends and records SSH connections; otherwise it passes on what it cannot read. */
  recording: boolean
  dial: DialSettings
  forwardSettings: ForwardSettings
  guard: ConnectionGuard
  /** The sessions that run here. */
  hub: SessionHub
  locks: LockWatch
  forwarders: Set<Forwarder>
  /** The proxy is on its way out and leads nobody anywhere any more. */
  draining(): boolean
  /** Serves the auth API to this caller. */
  serveApi(stream: Duplex, caller: Caller): void
  log: Log
  /** Unix ms. */
  now: () => number
}
