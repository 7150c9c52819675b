import {maxTtlSeconds, mergeOptions} from '../access/index.js'
import {asProblem, problem, type SallyportError} from '../errors/index.js'
import {blobType, certificateTypes, formatAuthorizedKey, parseAuthorizedKey} from '../sshcert/index.js'
import type {AuthContext} from './context.js'
import type {AuthApi, IssuedCertificate, LoginRequest} from './contract.js'
import {unlockedLogins} from './locks.js'
import {userKey} from './names.js'
import type {User} from './records.js'

const defaultTtlSeconds = 12 * 3600
const minTtlSeconds = 60

/** The same words for an unknown user, a wrong password and a wrong code: none tells which it was. */
const badCredentials = (): SallyportError =>
  problem('bad_credentials', 'the user name, password or code is wrong', {
    hint: 'try again; after five failures the account is locked for 20 minutes',
  })

const accountLocked = (until: number): SallyportError =>
  problem(
    'account_locked',
    `the account is locked until ${new Date(until).toISOString()} after too many failures`,
    {
      hint: 'wait, or ask an administrator to run `sallyport users unlock`',
    },
  )

/** Password and code against a certificate. */
export function loginMethod(context: AuthContext, address: string): Pick<AuthApi, 'login'> {
  const {settings, users, lockout, otp, passwords, emit} = context
  const audited = async (name: string, error: SallyportError): Promise<SallyportError> => {
    const common = {user: name.slice(0, 64), 'addr.remote': address, proto: 'https'} as const
    await emit({
      event: 'user.login',
      success: false,
      error: error.message,
      ...common,
      fields: {method: 'local'},
    })
    return error
  }
  /** The user, if password and code are theirs; does the same work whatever is wrong. */
  const authenticate = async ({user: name, password, otp: code}: LoginRequest): Promise<User | undefined> => {
    const user = (await users.get(userKey(name)))?.value
    const rightPassword = await passwords.verify(user?.passwordHash, password)
    const counter = user?.otpSecret === undefined ? undefined : await otp.match(user.otpSecret, code ?? '')
    if (!user || !rightPassword) return undefined
    if (settings.secondFactor === 'off') return user
    return counter !== undefined && (await otp.use(userKey(name), counter)) ? user : undefined
  }
  /** One attempt, counted before it is tried. @throws bad_credentials, account_locked */
  const attempt = async (name: string, request: LoginRequest): Promise<User> => {
    // Nothing is tried while locked, and names that nobody has are locked alike: a lock tells nothing.
    const {refused, lockedUntil} = await lockout.charge(userKey(name))
    if (refused) throw await audited(name, accountLocked(lockedUntil ?? 0))
    const user = await authenticate(request)
    if (user) {
      await lockout.clear(userKey(name))
      return user
    }
    const until = lockedUntil === undefined ? undefined : new Date(lockedUntil).toISOString()
    if (until !== undefined) await emit({event: 'user.lock', user: name, fields: {until}})
    throw await audited(name, badCredentials())
  }
  return {
    async login(request) {
      const name = request.user
      if (!isUserId(name)) throw await audited('invalid name', badCredentials())
      const publicKey = readPublicKey(request.publicKey)
      // Asked of everybody alike, before anything is looked up.
      if (settings.secondFactor === 'otp' && !request.otp) {
        throw problem('otp_required', 'a code from the authenticator app is needed', {
          hint: 'give it with --otp',
        })
      }
      const user = await context.inTurn(userKey(name), () => attempt(name, request))
      const issued = await issueFor(context, user, publicKey, request.ttlSeconds).catch(async error => {
        // Whoever has given the right password may know why.
        throw await audited(user.name, asProblem(error))
      })
      await emit({
        event: 'user.login',
        user: user.name,
        'addr.remote': address,
        proto: 'https',
        fields: {method: 'local', valid_before: new Date(issued.validBefore).toISOString()},
      })
      return issued
    },
  }
}

const isUserId = (name: string): boolean => /^[A-Za-z_][A-Za-z0-9_.@+-]{0,63}$/.test(name)

/** @throws invalid_input for what is not a plain public key */
export function readPublicKey(line: string): Buffer {
  const {blob} = parseAuthorizedKey(line)
  if (blobType(blob) in certificateTypes) {
    throw problem('invalid_input', 'a certificate was given where a public key is wanted')
  }
  return blob
}

/** Issues a user certificate by the user's roles, and puts that on record. @throws account_locked */
export async function issueFor(
  context: AuthContext,
  user: User,
  publicKey: Buffer,
  ttlSeconds: number = defaultTtlSeconds,
): Promise<IssuedCertificate> {
  const {authorities, settings, now} = context
  const logins = await unlockedLogins(context, user)
  const roles = await context.roles.named(user.roles)
  const ttl = Math.min(Math.max(ttlSeconds, minTtlSeconds), maxTtlSeconds(roles))
  const validBefore = Math.floor(now() / 1000) + Math.floor(ttl)
  const options = mergeOptions(roles, settings.access)
  const blob = await authorities.issueUser({
    user: user.name,
    publicKey,
    principals: logins,
    validBefore: BigInt(validBefore),
    extensions: new Map([
      ...(options.pty ? ([['permit-pty', '']] as const) : []),
      ...(options.portForwarding ? ([['permit-port-forwarding', '']] as const) : []),
      ...(options.agentForwarding ? ([['permit-agent-forwarding', '']] as const) : []),
      ...(options.x11Forwarding ? ([['permit-X11-forwarding', '']] as const) : []),
      ['teleport-roles', JSON.stringify({version: 'v1', roles: user.roles})],
      ['teleport-traits', JSON.stringify({logins})],
    ]),
  })
  await context.emit({
    event: 'cert.create',
    user: user.name,
    fields: {
      cert_type: 'user',
      logins,
      valid_before: new Date(validBefore * 1000).toISOString(),
    },
  })
  return {
    user: user.name,
    clusterName: settings.clusterName,
    certificate: formatAuthorizedKey(blob, user.name),
    hostAuthorities: authorities
      .publicKeys('host')
      .map(key => formatAuthorizedKey(key, settings.clusterName)),
    validBefore: validBefore * 1000,
  }
}
