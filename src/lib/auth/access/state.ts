import type {ClusterAccess, HostRecord, Lock, Role, RoutingStrategy} from '../../access/index.js'

/** What counts of a user when access is decided. */
export interface CurrentUser {
  name: string
  logins: readonly string[]
  roles: readonly string[]
  otpSecret?: string | undefined
}

/** All that decisions about access are made from: the state of the auth service, or what another machine knows of it. */
export interface AccessState {
  /** By the one spelling of their name, see `userKey`. */
  users: {get(id: string): Promise<{value: CurrentUser} | undefined>}
  roles: {named(names: readonly string[]): Promise<Role[]>}
  locks: {list(): Promise<Lock[]>}
  /** Secrets of authenticators are among what is known of users. */
  knowsSecrets?: true
  inventory: {
    get(id: string): Promise<HostRecord | undefined>
    matching(names: readonly string[]): Promise<HostRecord[]>
  }
  settings: {access: ClusterAccess; routingStrategy?: RoutingStrategy}
  /** Unix ms. */
  now: () => number
}
