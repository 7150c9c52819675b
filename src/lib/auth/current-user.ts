import {type AccessDecision, type AccessRequest, decide} from '../access/index.js'
import {problem} from '../errors/index.js'
import type {AuthContext} from './context.js'
import type {Caller} from './contract.js'
import {userKey} from './names.js'

// A certificate says what its holder might do when it was made. What was taken away since then counts at once: a role
// or login has to be in the certificate and still with the user.

const inBoth = (certified: readonly string[], current: readonly string[]): string[] =>
  certified.filter(name => current.includes(name))

/**
 * The caller with the roles and logins that a user still has; other callers as they are.
 * @throws access_denied for a user who was removed
 */
export async function currentCaller(context: AuthContext, caller: Caller): Promise<Caller> {
  if (caller.kind !== 'user') return caller
  const user = (await context.users.get(userKey(caller.name)))?.value
  if (user) {
    const [roles, logins] = [inBoth(caller.roles, user.roles), inBoth(caller.logins, user.logins)]
    return {...caller, name: user.name, roles, logins}
  }
  const error = `there is no longer a user ${caller.name}`
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
  const [roles, logins] = [inBoth(identity.roles, user.roles), inBoth(identity.logins, user.logins)]
  const current = {...request, identity: {...identity, roles, logins}}
  return decide(context.roles(roles), current, context.settings.access)
}
