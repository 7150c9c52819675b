import type {HostRecord} from '../../access/hosts.js'
import type {Lock} from '../../access/locks.js'
import type {RoutingStrategy} from '../../access/route.js'
import type {ClusterAccess} from '../../access/types.js'
import type {RoleResource} from '../resources/types.js'

/**
 * What a proxy or node on another machine has to know of the cluster to go on while the auth service is away. No secret is
 * in it.
 */
export interface ClusterState {
  clusterName: string
  recording: 'node' | 'proxy' | 'off' | 'node-sync' | 'proxy-sync'
  /** Whether targets must present a host certificate. */
  checkHostKeys: boolean
  keepAliveMilliseconds: number
  access: ClusterAccess
  routingStrategy?: RoutingStrategy
  /** Public CA keys as blobs. */
  authorities: {user: Buffer[]; host: Buffer[]; openssh: Buffer[]}
  /** X.509 certificates, PEM, by which machines know the auth service and it knows them: old and new ones in a rotation. */
  machineAuthorities: string[]
  users: {name: string; logins: string[]; roles: string[]}[]
  roles: RoleResource[]
  locks: Lock[]
  /** Without what a heartbeat changes. */
  hosts: HostRecord[]
}
