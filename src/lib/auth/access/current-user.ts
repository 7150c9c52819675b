import {
  type AccessDecision,
  type AccessRequest,
  ambiguousHost,
  chooseHost,
  decide,
  decideElsewhere,
  explain,
  findLock,
  type HostRecord,
  type Identity,
  lockReason,
  mayReach,
  mayUse,
  namesOf,
  noSuchHost,
  type Role,
  restrictionsOf,
} from '../../access/index.js'
import {problem} from '../../errors/index.js'
import {isUuid} from '../../names/index.js'
import type {AuthContext} from '../context.js'
import type {AccessExplanation, AuthApi, Caller} from '../contract.js'
import {userKey} from '../names.js'
import {nodeName} from './locks.js'
import type {AccessState, CurrentUser} from './state.js'

// A certificate says what its holder might do when it was made. What was taken away since then counts at once: a role
// or login has to be in the certificate and still with the user, and a role given since then denies and limits.

const inBoth = (certified: readonly string[], current: readonly string[]): string[] =>
  certified.filter(name => current.includes(name))

async function rolesInForce(
  {roles}: Pick<AccessState, 'roles'>,
  certified: readonly string[],
  current: readonly string[],
): Promise<Role[]> {
  const all = await roles.named(current)
  return all.map(role => (certified.includes(role.name) ? role : restrictionsOf(role)))
}

/**
 * The caller with the roles and logins that a user still has, and those roles; other callers as they are.
 * @throws access_denied for a user who was removed or is locked; certificate_expired
 */
export async function currentCaller(
  context: AuthContext,
  caller: Caller,
): Promise<{caller: Caller; roles: Role[]}> {
  if (caller.kind === 'system') await requireUnlocked(context, caller)
  if (caller.kind !== 'user') return {caller, roles: []}
  if (caller.expires !== undefined && caller.expires <= context.now())
    throw problem('certificate_expired', 'your certificate has expired', {hint: 'log in again'})
  const user = (await context.users.get(userKey(caller.name)))?.value
  const subject = {user: caller.name, roles: [...caller.roles, ...(user?.roles ?? [])], logins: [], nodes: []}
  const lock = findLock(await context.locks.list(), subject)
  if (user && !lock) {
    const [names, logins] = [inBoth(caller.roles, user.roles), inBoth(caller.logins, user.logins)]
    const roles = await rolesInForce(context, caller.roles, user.roles)
    return {caller: {...caller, name: user.name, roles: names, logins}, roles}
  }
  const error = lock ? lockReason(lock) : `there is no longer a user ${caller.name}`
  await context.emit({event: 'auth', success: false, error, user: caller.name})
  throw problem('access_denied', error, {hint: 'ask an administrator'})
}

/** A machine that was locked by its UUID is no longer a part of the cluster. @throws access_denied */
async function requireUnlocked({locks}: AuthContext, caller: Caller & {kind: 'system'}): Promise<void> {
  const {address, hostId} = caller
  if (address === undefined || hostId === undefined) return
  const lock = findLock(await locks.list(), {user: '', roles: [], logins: [], nodes: [hostId]})
  if (lock) throw problem('access_denied', lockReason(lock), {hint: 'ask an administrator'})
}

/** Decides by what the certificate says and the user still has. A node decides about itself and no other host. */
export async function decideCurrent(
  context: AccessState,
  asked: AccessRequest,
  caller: Caller,
): Promise<AccessDecision> {
  const own = caller.kind === 'system' && caller.role === 'node' ? caller.hostId : undefined
  const request = own === undefined ? asked : {...asked, hostId: own}
  const {identity, login} = request
  const user = (await context.users.get(userKey(identity.user)))?.value
  if (!user) {
    // A node by itself knows no others, see `stateForNode`.
    const who = own === undefined ? 'no longer a user' : 'nobody who may log in here by the name of'
    return {allowed: false, reason: `there is ${who} ${identity.user}`}
  }
  if (identity.logins.includes(login) && !user.logins.includes(login))
    return {allowed: false, reason: `${user.name} may no longer log in as ${login}`}
  const judge = request.cluster === undefined ? decide : decideElsewhere
  return judge(...(await inputs(context, request, user)))
}

/**
 * What `decideCurrent` answers to a certificate that the user would get now, and why.
 * @param seesAll whether who asks may know of hosts that the user may not reach
 * @throws not_found, host_ambiguous, host_not_found
 */
async function explainCurrent(
  context: AuthContext,
  {user: name, login, host: asked}: {user: string; login: string; host: string},
  seesAll: boolean,
): Promise<AccessExplanation> {
  const user = (await context.users.get(userKey(name)))?.value
  if (!user) throw problem('not_found', `there is no user ${JSON.stringify(name.slice(0, 80))}`)
  const host = nodeName(asked)
  const identity = {user: user.name, roles: user.roles, logins: user.logins, validBefore: 0}
  const found = await meant(context, host, seesAll ? () => true : await reachOf(context, identity))
  const registered = found === 'hidden' ? undefined : found
  const request = {identity, login, host, ...(registered && {hostId: registered.id})}
  const [roles, ...rest] = await inputs(context, request, user)
  const missing = user.roles.filter(role => !roles.some(one => one.name === role))
  const explanation = explain(roles, ...rest)
  // Where a name that nobody knows would be let through, a host behind that name is still not one to be told of.
  if (found === 'hidden' && explanation.decision.allowed)
    explanation.decision = {allowed: false, reason: noSuchHost(host).message, hidden: true}
  return {
    ...explanation,
    ...{user: user.name, login, host, missingRoles: missing},
    ...(registered && {hostId: registered.id, hostname: registered.hostname}),
  }
}

/** Users may ask about themselves, and about others where they may read roles. @throws access_denied */
export const explainMethods = (
  context: AuthContext,
  caller: Caller,
  roles: readonly Role[],
): Pick<AuthApi, 'explainAccess'> => ({
  async explainAccess(request) {
    const own = caller.kind === 'user' && userKey(caller.name) === userKey(request.user)
    const readsRoles = caller.kind !== 'user' || mayUse(roles, 'role', 'read')
    if (!own && !readsRoles)
      throw problem('access_denied', 'your roles do not permit you to ask about others', {
        hint: 'ask an administrator',
      })
    return explainCurrent(context, request, readsRoles)
  },
})

/** The one host of the inventory that a name stands for, if any. @throws host_ambiguous, host_not_found */
async function meant(
  {inventory, settings, now}: AuthContext,
  host: string,
  maySee: (host: HostRecord) => boolean,
): Promise<HostRecord | 'hidden' | undefined> {
  const candidates = (await inventory.matching([host])).map(one => ({host: one, visible: maySee(one)}))
  const {routingStrategy: strategy = 'unambiguous_match'} = settings
  const route = chooseHost(candidates, {host, port: 0}, {strategy, now: now()})
  if (route.kind === 'ambiguous') throw ambiguousHost(host, route.hosts)
  if (isUuid(host) && route.kind !== 'host') throw noSuchHost(host)
  if (route.kind === 'hidden') return 'hidden'
  return route.kind === 'host' ? route.host : undefined
}

/** Which hosts somebody may see: those that some login of theirs may reach. */
export async function reachOf(
  context: AccessState,
  identity: Identity,
): Promise<(host: Pick<HostRecord, 'labels'>) => boolean> {
  const user = (await context.users.get(userKey(identity.user)))?.value
  if (!user) return () => false
  const roles = await rolesInForce(context, identity.roles, user.roles)
  const logins = inBoth(identity.logins, user.logins)
  return ({labels}) => mayReach(roles, {logins}, labels)
}

async function inputs(
  context: AccessState,
  request: AccessRequest,
  user: CurrentUser,
): Promise<Parameters<typeof decide>> {
  const {identity} = request
  const roles = await rolesInForce(context, identity.roles, user.roles)
  const logins = inBoth(identity.logins, user.logins)
  const {labels: _labels, aliases: _aliases, enrolled: _enrolled, ...given} = request
  const host = request.hostId === undefined ? undefined : await context.inventory.get(request.hostId)
  const facts = host ? {labels: host.labels, aliases: namesOf(host)} : {}
  const enrolled = context.knowsSecrets && {enrolled: user.otpSecret !== undefined}
  const current = {...given, ...facts, ...enrolled, identity: {...identity, logins}}
  return [roles, current, context.settings.access, await context.locks.list()]
}
