import {labelsMatch} from './labels.js'
import type {Role, RoleConditions, RoleOptions} from './roles.js'
import {expand, type Traits} from './templates.js'
import type {AccessDecision, AccessRequest, SessionOptions} from './types.js'

/** What the cluster says where no role does, or above all roles. */
export interface ClusterAccess {
  clientIdleTimeoutSeconds: number
  disconnectExpiredCert: boolean
  /** The least that a session's recording must be; best_effort where nothing is said. */
  recordSession?: SessionOptions['recordSession']
}

const defaultMaxSessions = 10
/** Certificates never live longer than this, whatever a role says. */
export const maxSessionTtlSeconds = 30 * 3600

/**
 * Decides whether somebody may log in as `login` on a host. Pure. Deny comes first; to allow, one and the same role
 * has to match the host's labels and name the login; and the certificate has to carry the login, for it is what the
 * target will look at.
 */
export function decide(
  roles: readonly Role[],
  request: AccessRequest,
  cluster: ClusterAccess,
): AccessDecision {
  const {identity, login, host} = request
  const labels = request.labels ?? {}
  const traits: Traits = {internal: {logins: identity.logins}, external: {}}
  const who = identity.user
  if (roles.length === 0) return {allowed: false, reason: `${who} has no role that exists`}
  const denying = roles.find(role => denies(role.deny, login, labels, traits))
  if (denying) return {allowed: false, reason: `role ${denying.name} denies ${login} on ${host}`}
  if (!identity.logins.includes(login)) {
    return {allowed: false, reason: `the certificate of ${who} is not for the login ${login}`}
  }
  const matching = roles.filter(role => labelsMatch(role.allow.nodeLabels, labels))
  if (matching.length === 0) return {allowed: false, reason: `no role of ${who} allows the host ${host}`}
  const allowing = matching.filter(role => namesLogin(role.allow, login, traits))
  const [first] = allowing
  if (!first) {
    const names = matching.map(role => role.name).join(', ')
    return {
      allowed: false,
      reason: `no role of ${who} that allows ${host} (${names}) allows the login ${login}`,
    }
  }
  return {
    allowed: true,
    reason: `role ${first.name} allows ${login} on ${host}`,
    options: mergeOptions(roles, cluster),
  }
}

const namesLogin = ({logins}: RoleConditions, login: string, traits: Traits): boolean =>
  logins.some(entry => expand(entry, traits).includes(login))

/** A deny that names only logins or only labels denies by those alone. */
function denies(
  deny: RoleConditions,
  login: string,
  labels: Readonly<Record<string, string>>,
  traits: Traits,
): boolean {
  return namesLogin(deny, login, traits) || labelsMatch(deny.nodeLabels, labels)
}

type Values<Key extends keyof RoleOptions> = NonNullable<RoleOptions[Key]>[]

const valuesOf = <Key extends keyof RoleOptions>(roles: readonly Role[], key: Key): Values<Key> =>
  roles.map(role => role.options[key]).filter(value => value !== undefined) as Values<Key>

/** The smallest that is not zero, which stands for "no limit". */
const strictest = (values: readonly number[], fallback: number): number => {
  const limits = values.filter(value => value > 0)
  return limits.length > 0 ? Math.min(...limits) : fallback
}

/** Merges the options of all roles: permissions add up, limits narrow down. */
export function mergeOptions(roles: readonly Role[], cluster: ClusterAccess): SessionOptions {
  const any = (key: 'forwardAgent' | 'disconnectExpiredCert' | 'permitX11Forwarding'): boolean =>
    valuesOf(roles, key).some(Boolean)
  const ports = valuesOf(roles, 'portForwarding')
  const idle = [...valuesOf(roles, 'clientIdleTimeoutSeconds'), cluster.clientIdleTimeoutSeconds]
  return {
    agentForwarding: any('forwardAgent'),
    portForwarding: ports.length === 0 || ports.some(Boolean) || ports.length < roles.length,
    pty: true,
    x11Forwarding: any('permitX11Forwarding'),
    idleTimeoutSeconds: strictest(idle, 0),
    disconnectExpiredCert: cluster.disconnectExpiredCert || any('disconnectExpiredCert'),
    recordSession: [cluster.recordSession, ...valuesOf(roles, 'recordSession')].includes('strict')
      ? 'strict'
      : 'best_effort',
    maxSessions: strictest(valuesOf(roles, 'maxSessions'), defaultMaxSessions),
  }
}

/** Seconds a certificate for these roles may live. */
export const maxTtlSeconds = (roles: readonly Role[]): number =>
  Math.min(maxSessionTtlSeconds, strictest(valuesOf(roles, 'maxSessionTtlSeconds'), maxSessionTtlSeconds))

/** Whether any of the roles may do `verb` with resources of this kind; deny first. */
export function mayUse(roles: readonly Role[], resource: string, verb: string): boolean {
  const covers = ({rules}: RoleConditions): boolean =>
    rules.some(({resources, verbs}) => hit(resources, resource) && hit(verbs, verb))
  return !roles.some(role => covers(role.deny)) && roles.some(role => covers(role.allow))
}

const hit = (list: readonly string[], value: string): boolean => list.includes(value) || list.includes('*')
