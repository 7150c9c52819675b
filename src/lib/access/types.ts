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
  labels?: Record<string, string>
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
  recordSession: 'strict' | 'best_effort'
  /** 0 is no limit. */
  maxSessions: number
}

/** The decision and its reason, in words an administrator can act on. */
export type AccessDecision =
  | {allowed: true; reason: string; options: SessionOptions}
  | {allowed: false; reason: string}
