// How machines come to the cluster.

export type SystemRole = 'auth' | 'proxy' | 'node'

/** What a machine can join the cluster as. */
export type JoinRole = Exclude<SystemRole, 'auth'>

/** What a token is good for: to join as a role, to enrol a plain sshd host, or to become a leaf of this cluster. */
export type TokenRole = JoinRole | 'openssh' | 'trusted_cluster'

/** A token to join with. It is shown this once. */
export interface CreatedToken {
  /** To name it by; tells nothing about the token. */
  id: string
  token: string
  roles: TokenRole[]
  /** Unix ms. */
  expires: number
  /** What `--ca-pin` takes: all of them while authorities are rotated. */
  caPins: string[]
  /** `host:port` of the auth service as other machines reach it. */
  authServer: string
  clusterName: string
}

export interface JoinTokenSummary {
  /** Absent for one from the configuration, which stays good and cannot be removed. */
  id?: string
  roles: TokenRole[]
  /** Unix ms. */
  expires?: number
  createdBy: string
}

export interface JoinRequest {
  token: string
  /** UUID that the machine made for itself, in small letters. */
  hostId: string
  nodename: string
  roles: JoinRole[]
  /** P-256, SubjectPublicKeyInfo in PEM. One for all roles of the machine. */
  publicKey: string
}

/** What a machine that has joined shows on its connections to the auth service, and what it believes itself. */
export interface HostCertificates {
  clusterName: string
  /** X.509 certificates of the tls-host authority, PEM. */
  authorities: string[]
  /** X.509, PEM. */
  certificates: {role: JoinRole; certificate: string}[]
}
