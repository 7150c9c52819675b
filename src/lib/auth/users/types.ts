// Logging in, signing up, and certificates for it, as the contract has them.

export type SecondFactor = 'off' | 'otp'
export type AuthorityType = 'user' | 'host' | 'openssh' | 'tls-host' | 'tls-user' | 'recording'

export interface LoginRequest {
  user: string
  password: string
  otp?: string
  /** authorized_keys line of the fresh key. */
  publicKey: string
  /** Wished for; clamped to the roles' limit. Default 12 h. */
  ttlSeconds?: number
}

export interface IssuedCertificate {
  user: string
  clusterName: string
  /** `ssh-ed25519-cert-v01@openssh.com AAAA… user` */
  certificate: string
  /** authorized_keys lines of every host CA key in force. */
  hostAuthorities: string[]
  /** Unix ms. */
  validBefore: number
}

export interface Invite {
  user: string
  kind: 'invite' | 'reset'
  clusterName: string
  secondFactor: SecondFactor
  /** Present when a second factor has to be set up: show as QR, and as text for those who type. */
  otp?: {secret: string; uri: string}
  /** Unix ms. */
  expires: number
}

export interface CreatedInvite {
  user: string
  url: string
  expires: number
}

export interface UserSummary {
  name: string
  logins: string[]
  roles: string[]
  /** invited: no password yet. locked: too many failures. */
  state: 'active' | 'invited' | 'locked'
  lockedUntil?: number
  created: number
}

export interface Authority {
  type: AuthorityType
  /** SHA256:… of the public key. */
  fingerprint: string
  /** authorized_keys line. */
  publicKey: string
}
