import {createHash, randomBytes} from 'node:crypto'
import {asProblem, problem, type SallyportError} from '../../errors/index.js'
import type {AuthContext} from '../context.js'
import type {AuthApi, CreatedInvite} from '../contract.js'
import {userKey} from '../names.js'
import type {StoredInvite, User} from '../records.js'
import {checkPassword} from './passwords.js'

const defaultTtlSeconds = 3600
const maxTtlSeconds = 48 * 3600
const minTtlSeconds = 60

/** The token itself is never stored: whoever reads the state cannot sign up with it. */
const tokenId = (token: string): string => createHash('sha256').update(token).digest('hex')

const invalidToken = (): SallyportError =>
  problem('token_invalid', 'this sign-up link is not valid: it was used, has expired or never existed', {
    hint: 'ask an administrator for a new one (sallyport users reset)',
  })

/** To be asked before anything is changed for the sake of a link. @throws invalid_input */
export function checkInviteTtl(ttlSeconds = defaultTtlSeconds): void {
  if (ttlSeconds >= minTtlSeconds && ttlSeconds <= maxTtlSeconds) return
  throw problem('invalid_input', 'a sign-up link lives from one minute to 48 hours', {hint: 'use --ttl=1h'})
}

/** Makes a sign-up link, and any earlier link of the user void. @throws invalid_input */
export async function createInvite(
  context: AuthContext,
  user: string,
  kind: StoredInvite['kind'],
  ttlSeconds = defaultTtlSeconds,
): Promise<CreatedInvite> {
  checkInviteTtl(ttlSeconds)
  await withdrawInvites(context, user)
  const token = randomBytes(32).toString('base64url')
  const expires = context.now() + ttlSeconds * 1000
  const wantsOtp = context.settings.secondFactor === 'otp'
  const invite: StoredInvite = {
    version: 1,
    user,
    kind,
    ...(wantsOtp && {otpSecret: await context.otp.newSecret()}),
    expires,
  }
  await context.invites.put(tokenId(token), invite, expires)
  return {user, url: `${await context.publicUrl()}/web/invite/${token}`, expires}
}

export async function withdrawInvites({invites}: AuthContext, user: string): Promise<void> {
  for (const {id, value} of await invites.entries()) {
    if (userKey(value.user) === userKey(user)) await invites.delete(id)
  }
}

interface Found {
  invite: {value: StoredInvite; revision: number}
  user: {value: User; revision: number}
}

/** Sign-up: looking at a link changes nothing; accepting it works once. */
export function inviteMethods(
  context: AuthContext,
  address: string,
): Pick<AuthApi, 'getInvite' | 'acceptInvite'> {
  const {invites, users, settings, emit} = context
  const remote = {'addr.remote': address, proto: 'https'} as const
  /** A failure goes on record: whoever guesses tokens leaves a trace. */
  const audited = async <T>(method: string, work: () => Promise<T>): Promise<T> => {
    try {
      return await work()
    } catch (error) {
      const {message} = asProblem(error)
      await emit({event: 'user.password_change', success: false, error: message, ...remote, fields: {method}})
      throw error
    }
  }
  const find = async (token: string): Promise<Found> => {
    if (!/^[A-Za-z0-9_-]{43}$/.test(token)) throw invalidToken()
    const invite = await invites.get(tokenId(token))
    if (!invite || invite.value.expires <= context.now()) throw invalidToken()
    const user = await users.get(userKey(invite.value.user))
    if (!user) throw invalidToken()
    return {invite, user}
  }
  const accept: AuthApi['acceptInvite'] = async ({token, password, otp}) => {
    const {invite, user} = await find(token)
    const {otpSecret} = invite.value
    checkPassword(password)
    const counter = await checkSetupCode(context, invite.value, otp)
    const passwordHash = await context.passwords.hash(password)
    const next: User = {...user.value, passwordHash, ...(otpSecret !== undefined && {otpSecret})}
    // One step: the link is used up and the password set, or neither; of several attempts one succeeds.
    const id = userKey(next.name)
    const done = await context.backend.transaction([
      invites.deleting(tokenId(token), invite.revision),
      users.replacing(id, user.revision, next),
    ])
    if (done === undefined) throw invalidToken()
    if (counter !== undefined) await context.otp.use(id, counter)
    const common = {user: next.name, ...remote}
    await emit({event: 'user.password_change', ...common})
    if (otpSecret !== undefined) await emit({event: 'mfa.add', ...common, fields: {kind: 'totp'}})
    return {user: next.name}
  }
  return {
    async getInvite(token) {
      const invite = (await audited('getInvite', () => find(token))).invite.value
      const secret = invite.otpSecret
      return {
        user: invite.user,
        kind: invite.kind,
        clusterName: settings.clusterName,
        secondFactor: secret === undefined ? 'off' : 'otp',
        ...(secret !== undefined && {otp: {secret, uri: await context.otp.uri(secret, invite.user)}}),
        expires: invite.expires,
      }
    },
    acceptInvite: request => audited('acceptInvite', () => accept(request)),
  }
}

async function checkSetupCode(
  context: AuthContext,
  {otpSecret}: StoredInvite,
  code: string | undefined,
): Promise<number | undefined> {
  if (otpSecret === undefined) return undefined
  if (code === undefined || code === '') {
    throw problem('otp_required', 'a code from the authenticator app is needed', {
      hint: 'add the secret to the app, then give the six digits it shows',
    })
  }
  const counter = await context.otp.match(otpSecret, code)
  if (counter !== undefined) return counter
  throw problem('bad_credentials', 'the code from the authenticator app is not right', {
    hint: "wait for the next code, and check the phone's clock",
  })
}
