import {problem} from '../../errors/index.js'
import {checkRoles} from '../access/roles.js'
import type {AuthContext} from '../context.js'
import type {AuthApi, UserSummary} from '../contract.js'
import {checkLogins, checkUserName, sessionCounter, userKey} from '../names.js'
import type {User} from '../records.js'
import {checkInviteTtl, createInvite, withdrawInvites} from './invites.js'

const defaultRoles = ['access']
const maxAttempts = 10

type UserMethods = Pick<
  AuthApi,
  'createUser' | 'updateUser' | 'listUsers' | 'removeUser' | 'resetUser' | 'unlockUser'
>

/** Administration of users. `actor` is who asks, for the audit log. */
export function userMethods(context: AuthContext, actor: string): UserMethods {
  const {users, emit} = context
  const find = async (name: string): Promise<{value: User; revision: number}> => {
    const found = await users.get(userKey(name))
    if (found) return found
    throw problem('not_found', `there is no user ${JSON.stringify(name.slice(0, 80))}`, {
      hint: 'see `sallyport users ls`',
    })
  }
  /** Applies a change to the newest record, however many others change it at the same time. */
  const change = async (name: string, apply: (user: User) => User): Promise<User> => {
    for (let attempt = 0; attempt < maxAttempts; attempt++) {
      const {value, revision} = await find(name)
      const next = apply(value)
      if (await users.replace(userKey(name), revision, next)) return next
    }
    throw problem('unavailable', `the user ${name} is being changed by others`, {hint: 'try again'})
  }

  return {
    async createUser({name, logins, roles = defaultRoles, ttlSeconds}) {
      checkUserName(name)
      checkInviteTtl(ttlSeconds)
      const user: User = {
        version: 1,
        name,
        logins: checkLogins(logins),
        roles: await checkRoles(context, roles),
        created: context.now(),
      }
      if (!(await users.create(userKey(name), user))) {
        throw problem('already_exists', `there is a user ${name} already`, {
          hint: `for a new sign-up link use \`sallyport users reset ${name}\``,
        })
      }
      await emit({
        event: 'user.create',
        user: name,
        fields: {by: actor, logins: user.logins, roles: user.roles},
      })
      return createInvite(context, name, 'invite', ttlSeconds)
    },
    async updateUser({name, logins, roles}) {
      const changes = {
        ...(logins && {logins: checkLogins(logins)}),
        ...(roles && {roles: await checkRoles(context, roles)}),
      }
      const updated = await change(name, user => ({...user, ...changes}))
      const fields = {by: actor, logins: updated.logins, roles: updated.roles}
      await emit({event: 'user.update', user: updated.name, fields})
      return summary(context, updated)
    },
    async listUsers() {
      const all = await users.list()
      return Promise.all(all.map(user => summary(context, user)))
    },
    async removeUser(name) {
      const {value} = await find(name)
      await withdrawInvites(context, value.name)
      await users.delete(userKey(name))
      await forgive(context, name)
      await emit({event: 'user.delete', user: value.name, fields: {by: actor}})
    },
    async resetUser({name, ttlSeconds}) {
      checkInviteTtl(ttlSeconds)
      const {passwordHash: _password, otpSecret: _otp, ...rest} = (await find(name)).value
      const user = await change(name, ({logins, roles}) => ({...rest, logins, roles}))
      await forgive(context, name)
      const invite = await createInvite(context, user.name, 'reset', ttlSeconds)
      await emit({event: 'reset_password_token.create', user: user.name, fields: {by: actor}})
      return invite
    },
    async unlockUser(name) {
      const {value} = await find(name)
      await forgive(context, name)
      await emit({event: 'user.unlock', user: value.name, fields: {by: actor}})
    },
  }
}

/** Both counters: that of logins, and that of sessions. */
async function forgive({lockout}: AuthContext, name: string): Promise<void> {
  await Promise.all([lockout.clear(userKey(name)), lockout.clear(sessionCounter(name))])
}

async function summary({lockout}: AuthContext, user: User): Promise<UserSummary> {
  const lockedUntil =
    (await lockout.lockedUntil(userKey(user.name))) ?? (await lockout.lockedUntil(sessionCounter(user.name)))
  return {
    name: user.name,
    logins: user.logins,
    roles: user.roles,
    state: lockedUntil !== undefined ? 'locked' : user.passwordHash === undefined ? 'invited' : 'active',
    ...(lockedUntil !== undefined && {lockedUntil}),
    created: user.created,
  }
}
