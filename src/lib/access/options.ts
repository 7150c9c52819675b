import {oversightOf} from './joining.js'
import type {Role, RoleOptions} from './roles.js'
import type {ClusterAccess, SessionOptions} from './types.js'

const defaultMaxSessions = 10
/** Certificates never live longer than this, whatever a role says. */
export const maxSessionTtlSeconds = 30 * 3600

/** Yes as soon as one role says so. */
type YesOrNo =
  | 'forwardAgent'
  | 'disconnectExpiredCert'
  | 'permitX11Forwarding'
  | 'requireSessionMfa'
  | 'pinSourceIp'

type Values<Key extends keyof RoleOptions> = NonNullable<RoleOptions[Key]>[]

const valuesOf = <Key extends keyof RoleOptions>(roles: readonly Role[], key: Key): Values<Key> =>
  roles.map(role => role.options[key]).filter(value => value !== undefined) as Values<Key>

/** The smallest that is not zero, which stands for "no limit"; the fallback where no role says anything. */
const fewest = (values: readonly number[], fallback: number): number => {
  const limits = values.filter(value => value > 0)
  if (limits.length > 0) return Math.min(...limits)
  return values.length > 0 ? 0 : fallback
}

/** Merges the options of all roles: permissions add up, limits narrow down. */
export function mergeOptions(roles: readonly Role[], cluster: ClusterAccess): SessionOptions {
  const any = (key: YesOrNo): boolean => valuesOf(roles, key).some(Boolean)
  const ports = valuesOf(roles, 'portForwarding')
  const oversight = oversightOf(roles, 'ssh')
  const idle = [...valuesOf(roles, 'clientIdleTimeoutSeconds'), cluster.clientIdleTimeoutSeconds]
  return {
    agentForwarding: any('forwardAgent'),
    portForwarding: ports.length === 0 || ports.some(Boolean) || ports.length < roles.length,
    pty: true,
    x11Forwarding: any('permitX11Forwarding'),
    idleTimeoutSeconds: fewest(idle, 0),
    disconnectExpiredCert: cluster.disconnectExpiredCert || any('disconnectExpiredCert'),
    recordSession: [cluster.recordSession, ...valuesOf(roles, 'recordSession')].includes('strict')
      ? 'strict'
      : 'best_effort',
    lock: valuesOf(roles, 'lock').includes('strict') ? 'strict' : 'best_effort',
    maxConnections: fewest(valuesOf(roles, 'maxConnections'), 0),
    maxSessions: fewest(valuesOf(roles, 'maxSessions'), defaultMaxSessions),
    requireSessionMfa: cluster.requireSessionMfa === true || any('requireSessionMfa'),
    pinSourceIp: any('pinSourceIp'),
    ...(oversight.length > 0 && {oversight}),
  }
}

/** Seconds a certificate for these roles may live. */
export const maxTtlSeconds = (roles: readonly Role[]): number => {
  const limits = valuesOf(roles, 'maxSessionTtlSeconds').filter(limit => limit > 0)
  return Math.min(maxSessionTtlSeconds, ...limits)
}
