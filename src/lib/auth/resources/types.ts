/** A role as it is written in YAML, given back by `get`, and kept. docs/guides/roles-and-locks.md has every field. */
export interface RoleResource {
  kind: 'role'
  version: 'v1'
  metadata: {name: string; description?: string}
  spec: {allow?: RoleConditionsResource; deny?: RoleConditionsResource; options?: RoleOptionsResource}
}

export interface RoleConditionsResource {
  logins?: readonly string[]
  node_labels?: Readonly<Record<string, string | readonly string[]>>
  rules?: readonly {resources: readonly string[]; verbs: readonly string[]}[]
  join_sessions?: readonly JoinPolicyResource[]
  /** Of `allow` alone. */
  require_session_join?: readonly JoinRequirementResource[]
}

export interface JoinPolicyResource {
  name: string
  roles: readonly string[]
  kinds: readonly string[]
  modes: readonly string[]
}

export interface JoinRequirementResource {
  name: string
  /** Roles. */
  filter: readonly string[]
  kinds: readonly string[]
  modes: readonly string[]
  count: number
  on_leave: 'terminate' | 'pause'
}

/** Durations as `8h` or `never`. */
export interface RoleOptionsResource {
  max_session_ttl?: string
  forward_agent?: boolean
  port_forwarding?: boolean
  client_idle_timeout?: string
  max_connections?: number
  max_sessions?: number
  disconnect_expired_cert?: boolean
  permit_x11_forwarding?: boolean
  require_session_mfa?: boolean
  pin_source_ip?: boolean
  record_session?: {ssh: 'strict' | 'best_effort'}
  lock?: 'strict' | 'best_effort'
}

/** A user without what is secret. */
export interface UserResource {
  kind: 'user'
  version: 'v1'
  metadata: {name: string}
  spec: {logins: readonly string[]; roles: readonly string[]}
}

/** A registered OpenSSH host. */
export interface NodeResource {
  kind: 'node'
  sub_kind: 'openssh'
  version: 'v1'
  /** The name is a UUID; in what is to be created it may be absent. */
  metadata: {name: string; labels?: Readonly<Record<string, string>>}
  /** `addr` is `host:port`. */
  spec: {hostname: string; names?: readonly string[]; addr: string}
}

/** A cluster whose users are let in. To be created it needs a token of that cluster and the pin of its authority. */
export interface TrustedClusterResource {
  kind: 'trusted_cluster'
  version: 'v1'
  /** The name that the other cluster gives itself. */
  metadata: {name: string}
  spec: {
    enabled?: boolean
    token?: string
    ca_pin?: string
    /** `host:port` of its tunnel port. */
    tunnel_addr: string
    role_map: readonly {remote: string; local: readonly string[]}[]
  }
}

export type Resource = RoleResource | UserResource | NodeResource | TrustedClusterResource

export interface ResourceOutcome {
  kind: Resource['kind']
  name: string
  outcome: 'created' | 'updated' | 'unchanged'
}
