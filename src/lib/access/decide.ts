import {labelsMatch} from './labels.js'
import {findLock, type Lock, lockReason} from './locks.js'
import {mergeOptions} from './options.js'
import type {Role, RoleConditions} from './roles.js'
import {expand, type Traits} from './templates.js'
import type {
  AccessDecision,
  AccessRequest,
  ClusterAccess,
  Explanation,
  Identity,
  RoleVerdict,
  SessionOptions,
} from './types.js'

/**
 * Decides whether somebody may log in as `login` on a host. Pure. Locks come first, then what roles deny; to allow, one
 * and the same role has to match the host's labels and name the login; and the certificate has to carry the login, for
 * it is what the target will look at.
 * @param locks those in force
 */
export const decide = (
  roles: readonly Role[],
  request: AccessRequest,
  cluster: ClusterAccess,
  locks: readonly Lock[],
): AccessDecision => explain(roles, request, cluster, locks).decision

/** The decision of `decide`, with what each role said to it. Pure. */
export function explain(
  roles: readonly Role[],
  request: AccessRequest,
  cluster: ClusterAccess,
  locks: readonly Lock[],
): Explanation {
  const {identity, login} = request
  const traits: Traits = {internal: {logins: identity.logins}, external: {}}
  const verdicts = roles.map(role => judge(role, login, request.labels ?? {}, traits))
  const lock = findLock(locks, {
    user: identity.user,
    roles: [...identity.roles, ...roles.map(({name}) => name)],
    logins: [login],
    nodes: [request.host, ...(request.aliases ?? [])],
  })
  const refusal = refuse(request, verdicts, lock)
  const decision: AccessDecision =
    refusal === undefined
      ? granted(request, grant(request, verdicts), mergeOptions(roles, cluster))
      : {allowed: false, reason: refusal, ...(isHidden(roles, request, lock) && {hidden: true})}
  return {
    decision,
    ...(lock && {lock}),
    carriesLogin: identity.logins.includes(login),
    ...(request.labels && {labels: request.labels}),
    roles: verdicts,
  }
}

/**
 * Decides whether somebody may set out for a host of another cluster as `login`. Pure. What roles say of hosts is about
 * those of this cluster; the other one decides about its own, and by its own roles.
 */
export function decideElsewhere(
  roles: readonly Role[],
  request: AccessRequest,
  cluster: ClusterAccess,
  locks: readonly Lock[],
): AccessDecision {
  const {identity, login, host} = request
  const {user, logins} = identity
  const names = [...identity.roles, ...roles.map(({name}) => name)]
  const lock = findLock(locks, {user, roles: names, logins: [login], nodes: [host]})
  const traits: Traits = {internal: {logins}, external: {}}
  const denied = roles.find(({deny}) => deny.logins.some(entry => expand(entry, traits).includes(login)))
  const refused = (reason: string): AccessDecision => ({allowed: false, reason})
  if (lock) return refused(lockReason(lock))
  if (roles.length === 0) return refused(`${user} has no role that exists`)
  if (denied) return refused(`role ${denied.name} denies the login ${login}`)
  if (!logins.includes(login)) return refused(`the certificate of ${user} is not for the login ${login}`)
  return granted(
    request,
    `the certificate of ${user} is for the login ${login}`,
    mergeOptions(roles, cluster),
  )
}

/** Whoever has to show a second factor and has none is better told so than asked for it. */
const granted = (
  {identity, enrolled}: AccessRequest,
  reason: string,
  options: SessionOptions,
): AccessDecision =>
  options.requireSessionMfa && enrolled === false
    ? {allowed: false, reason: noAuthenticator(identity.user)}
    : {allowed: true, reason, options}

export const noAuthenticator = (user: string): string =>
  `sessions of ${user} need a code of an authenticator app, and ${user} has none: an administrator's \`users reset\` makes a link that sets one up`

/**
 * Whether some login of somebody may go to a host with these labels, for all that roles say. Locks are another matter:
 * they are told. Pure.
 */
export function mayReach(
  roles: readonly Role[],
  {logins}: Pick<Identity, 'logins'>,
  labels: Readonly<Record<string, string>>,
): boolean {
  const traits: Traits = {internal: {logins}, external: {}}
  return logins.some(login => {
    const verdicts = roles.map(role => judge(role, login, labels, traits))
    return !verdicts.some(denying) && verdicts.some(allowing)
  })
}

/** A refusal must not tell a host that somebody may not see from one that is not there, nor the reverse. */
const isHidden = (roles: readonly Role[], request: AccessRequest, lock: Lock | undefined): boolean =>
  (!lock || lock.kind === 'node') &&
  roles.some(looksAtLabels) &&
  !mayReach(roles, request.identity, request.labels ?? {})

/** Otherwise a host of the inventory is the same to it as any other. */
const looksAtLabels = ({allow, deny}: Role): boolean =>
  [allow, deny].some(({nodeLabels}) => Object.keys(nodeLabels).some(name => name !== '*'))

function judge(
  {name, allow, deny}: Role,
  login: string,
  labels: Readonly<Record<string, string>>,
  traits: Traits,
): RoleVerdict {
  const hit = (conditions: RoleConditions) => ({
    login: conditions.logins.some(entry => expand(entry, traits).includes(login)),
    host: labelsMatch(conditions.nodeLabels, labels),
  })
  return {role: name, denies: hit(deny), allows: hit(allow)}
}

/** A deny that names only logins or only labels denies by those alone. */
const denying = ({denies}: RoleVerdict): boolean => denies.login || denies.host

const allowing = ({allows}: RoleVerdict): boolean => allows.login && allows.host

/** Why not, or undefined. */
function refuse(
  {identity, login, host}: AccessRequest,
  verdicts: readonly RoleVerdict[],
  lock: Lock | undefined,
): string | undefined {
  const who = identity.user
  if (lock) return lockReason(lock)
  if (verdicts.length === 0) return `${who} has no role that exists`
  const denied = verdicts.find(denying)
  if (denied) return `role ${denied.role} denies ${login} on ${host}`
  if (!identity.logins.includes(login)) return `the certificate of ${who} is not for the login ${login}`
  const matching = verdicts.filter(({allows}) => allows.host)
  if (matching.length === 0) return `no role of ${who} allows the host ${host}`
  if (matching.some(allowing)) return undefined
  const names = matching.map(({role}) => role).join(', ')
  return `no role of ${who} that allows ${host} (${names}) allows the login ${login}`
}

const grant = ({login, host}: AccessRequest, verdicts: readonly RoleVerdict[]): string =>
  `role ${verdicts.find(allowing)?.role} allows ${login} on ${host}`

/** Whether any of the roles may do `verb` with resources of this kind; deny first. */
export function mayUse(roles: readonly Role[], resource: string, verb: string): boolean {
  const covers = ({rules}: RoleConditions): boolean =>
    rules.some(({resources, verbs}) => contains(resources, resource) && contains(verbs, verb))
  return !roles.some(role => covers(role.deny)) && roles.some(role => covers(role.allow))
}

const contains = (list: readonly string[], value: string): boolean =>
  list.includes(value) || list.includes('*')
