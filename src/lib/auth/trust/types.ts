import type {RoleMapping} from '../../access/role-map.js'
import type {Route} from '../../access/route.js'
import type {AccessDecision, Identity} from '../../access/types.js'

// What passes between clusters that trust each other. A leaf lets users of its root in.

/** What a cluster shows another one that it comes to trust, with a token of that one. */
export interface TrustRequest {
  token: string
  clusterName: string
  /** authorized_keys lines. */
  hostAuthorities: string[]
}

export interface TrustAnswer {
  clusterName: string
  /** authorized_keys lines. */
  userAuthorities: string[]
  hostAuthorities: string[]
}

/** A leaf: a cluster that lets users of this one in. */
export interface RemoteCluster {
  name: string
  /** authorized_keys lines. */
  hostAuthorities: string[]
  /** Unix ms. */
  joined: number
}

/** A root: a cluster whose users this one lets in. */
export interface TrustedCluster {
  name: string
  enabled: boolean
  /** `host:port` */
  tunnelAddress: string
  roleMap: RoleMapping[]
  /** authorized_keys lines. */
  userAuthorities: string[]
  hostAuthorities: string[]
}

/** Where a user of a root wants to go. The certificate has been checked. */
export interface ForeignRequest {
  /** The root. */
  cluster: string
  identity: Identity
  /** Absent where nobody but the host sees it. */
  login?: string
  /** Canonical. */
  host: string
  /** 0: whichever the host has. */
  port: number
  /** What the name resolves to. */
  addresses?: string[]
}

export interface ForeignAdmission {
  /** Who they are here: by another name, with the roles that theirs mean. */
  identity: Identity
  route: Route
  decision: AccessDecision
}
