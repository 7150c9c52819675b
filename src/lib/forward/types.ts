import type {Duplex} from 'node:stream'
import type {HostRecord} from '../access/hosts.js'
import type {Identity} from '../access/types.js'
import type {AuthApi} from '../auth/contract.js'
import type {SallyportError} from '../errors/index.js'
import type {ConnectionGuard, DoorSettings, Ends, Log, SessionAuth, SessionHub} from '../session/index.js'
import type {HostIdentity} from '../ssh/index.js'

/** The services a forwarder needs of the auth service; it holds no secrets and decides nothing by itself. */
export type ForwardAuth = SessionAuth & Pick<AuthApi, 'trustedAuthorities' | 'decide' | 'checkSessionMfa'>

/** What is the same for every connection that a proxy forwards. */
export interface ForwardSettings extends DoorSettings {
  auth: ForwardAuth
  guard: ConnectionGuard
  /** Where sessions can be joined. */
  hub: Pick<SessionHub, 'host'>
  clusterName: string
  /** UUID or name of this proxy, for `forwarded_by`. */
  proxyId: string
  /** Require a host certificate of the host CA from targets. */
  checkHostKeys: boolean
  sessionId: () => string
  /** The host certificate by which we stand in for `name`. */
  hostIdentity(name: string): Promise<HostIdentity>
  log: Log
}

/** What a cluster that leads to its host demands of the connection, beyond what it sees to itself. */
export interface WayTerms {
  /** Sessions at a time; 0 is no limit. */
  maxSessions: number
  /** Seconds; 0 is never. */
  idleTimeoutSeconds: number
  /** Why it has ended the way, once it has said so. */
  ended(): SallyportError | undefined
}

/** A connection to a target, before anything is said on it. */
export interface Way {
  stream: Duplex
  /** `ip:port` */
  address: string
  terms?: WayTerms
}

/** The host a client asked for and how to get there. */
export interface Target {
  /** As asked for, canonical: the name its host certificate must carry. */
  host: string
  port: number
  /** What it is in the inventory, where it is there. */
  registered?: HostRecord
  /** The other cluster that it is in, and plain public key blobs of those who vouch for hosts there. */
  cluster?: {name: string; hostAuthorities: readonly Buffer[]}
  /** Resolves the name once, applies the dial policy, connects, as `login` where that is known. Each call is one attempt. */
  dial(login?: string): Promise<Way>
}

/** A client's own connection to the proxy, already authenticated. */
export interface OuterConnection extends Ends {
  identity: Identity
  /** The certificate is good from this address alone. */
  pinned: boolean
  /** Opens the agent at the other end of the outer connection. */
  openAgent(): Promise<Duplex>
}

/** One way in to a target: a channel of the outer connection. */
export interface Ingress extends OuterConnection {
  /**
   * Whether the client forwards its agent on the outer connection. Behind `ssh -J` nothing on that connection says so:
   * then it is asked only when the inner one offers none, for an uninvited attempt makes OpenSSH cry break-in.
   */
  outerAgent: 'offered' | 'absent' | 'unknown'
}
