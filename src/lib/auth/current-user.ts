import {
  type AccessDecision,
  type AccessRequest,
  decide,
  explain,
  findLock,
  lockReason,
  type Role,
  restrictionsOf,
} from '../access/index.js'
import {problem} from '../errors/index.js'
import type {AuthContext} from './context.js'
import type {AccessExplanation, Caller} from './contract.js'
import {nodeName} from './locks.js'
import {userKey} from './names.js'
import type {User} from './records.js'

// A certificate says what its holder might do when it was made. What was taken away since then counts at once: a role
// or login has to be in the certificate and still with the user, and a role given since then denies and limits.

const inBoth = (certified: readonly string[], current: readonly string[]): string[] =>
  certified.filter(name => current.includes(name))

async function rolesInForce(
  {roles}: AuthContext,
  certified: readonly string[],
  current: readonly string[],
): Promise<Role[]> {
  const all = await roles.named(current)
  return all.map(role => (certified.includes(role.name) ? role : restrictionsOf(role)))
}

/**
 * The caller with the roles and logins that a user still has, and those roles; other callers as they are.
 * @throws access_denied for a user who was removed or is locked
 */
export async function currentCaller(
  context: AuthContext,
  caller: Caller,
): Promise<{caller: Caller; roles: Role[]}> {
  if (caller.kind !== 'user') return {caller, roles: []}
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

/** Decides by what the certificate says and the user still has. */
export async function decideCurrent(context: AuthContext, request: AccessRequest): Promise<AccessDecision> {
  const {identity, login} = request
  const user = (await context.users.get(userKey(identity.user)))?.value
  if (!user) return {allowed: false, reason: `there is no longer a user ${identity.user}`}
  if (identity.logins.includes(login) && !user.logins.includes(login))
    return {allowed: false, reason: `${user.name} may no longer log in as ${login}`}
  return decide(...(await inputs(context, request, user)))
}

/** What `decideCurrent` answers to a certificate that the user would get now, and why. @throws not_found */
export async function explainCurrent(
  context: AuthContext,
  {user: name, login, host: asked}: {user: string; login: string; host: string},
): Promise<AccessExplanation> {
  const user = (await context.users.get(userKey(name)))?.value
  if (!user) throw problem('not_found', `there is no user ${JSON.stringify(name.slice(0, 80))}`)
  const host = nodeName(asked)
  const identity = {user: user.name, roles: user.roles, logins: user.logins, validBefore: 0}
  const [roles, ...rest] = await inputs(context, {identity, login, host}, user)
  const missing = user.roles.filter(role => !roles.some(one => one.name === role))
  return {...explain(roles, ...rest), user: user.name, login, host, missingRoles: missing}
}

async function inputs(
  context: AuthContext,
  request: AccessRequest,
  user: User,
): Promise<Parameters<typeof decide>> {
  const {identity} = request
  const roles = await rolesInForce(context, identity.roles, user.roles)
  const logins = inBoth(identity.logins, user.logins)
  const current = {...request, identity: {...identity, logins}}
  return [roles, current, context.settings.access, await context.locks.list()]
}
