import type {Oversight} from './join-policies.js'
import type {Lock} from './locks.js'

/** What a verified user certificate says about its holder; the only identity an access decision looks at. */
export interface Identity {
  user: string
  roles: string[]
  /** Principals of the certificate. */
  logins: string[]
  /** Unix seconds, exclusive. */
  validBefore: number
}

export interface AccessRequest {
  identity: Identity
  login: string
  /** The host as asked for, canonical. */
  host: string
  /** The other cluster that the host is one of; absent for this one. */
  cluster?: string
  /** Of the host in the inventory; absent where it is not one of it, and then it has no labels. */
  hostId?: string
  /** Of the host in the inventory: looked up by the auth service, whatever a request says. */
  labels?: Record<string, string>
  /** Other names of the host, by which it may be locked. Looked up like the labels. */
  aliases?: readonly string[]
  /** Whether the user can show a second factor; absent where nobody can say. Looked up like the labels. */
  enrolled?: boolean
}

/** How much is demanded where something that protects a session cannot be had. */
export type Strictness = 'strict' | 'best_effort'

/** What the cluster says where no role does, or above all roles. */
export interface ClusterAccess {
  clientIdleTimeoutSeconds: number
  disconnectExpiredCert: boolean
  /** The least that a session's recording must be; best_effort where nothing is said. */
  recordSession?: Strictness
  /** Every session asks for a second factor, whatever roles say. */
  requireSessionMfa?: boolean
}

export interface SessionOptions {
  agentForwarding: boolean
  portForwarding: boolean
  pty: boolean
  x11Forwarding: boolean
  /** Seconds; 0 is never. */
  idleTimeoutSeconds: number
  disconnectExpiredCert: boolean
  /** What happens when the recording cannot be kept. */
  recordSession: Strictness
  /** What happens to a running session when nobody can say which locks are in force. */
  lock: Strictness
  /** Connections of the user to hosts at a time; 0 is no limit. */
  maxConnections: number
  /** Sessions at a time on one connection; 0 is no limit. */
  maxSessions: number
  /** Whoever connects shows a second factor besides the certificate. */
  requireSessionMfa: boolean
  /** The certificate is good from the address alone that its owner logged in from. */
  pinSourceIp: boolean
  /** Who has to look on; absent: nobody. */
  oversight?: Oversight
}

/** The decision and its reason, in words an administrator can act on. */
export type AccessDecision =
  | {allowed: true; reason: string; options: SessionOptions}
  | {
      allowed: false
      reason: string
      /**
       * Who asked must not learn whether there is such a host: no login of theirs may go there, or nothing is registered
       * under that name.
       */
      hidden?: true
    }

/** What one role says to a request: which of its conditions fit the login, and which the host. */
export interface RoleVerdict {
  role: string
  denies: {login: boolean; host: boolean}
  allows: {login: boolean; host: boolean}
}

/** A decision and how it came about. */
export interface Explanation {
  decision: AccessDecision
  /** The lock that refuses. */
  lock?: Lock
  /** Whether the certificate is for the login at all. */
  carriesLogin: boolean
  /** Those that the roles' conditions were compared with; absent for a host that is not in the inventory. */
  labels?: Record<string, string>
  roles: RoleVerdict[]
}
