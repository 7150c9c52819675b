import {maxTtlSeconds, mergeOptions} from '../../access/index.js'
import {asProblem, problem, type SallyportError} from '../../errors/index.js'
import {
  blobType,
  certificateTypes,
  formatAuthorizedKey,
  parseAuthorizedKey,
  pinTo,
} from '../../sshcert/index.js'
import {unlockedLogins} from '../access/locks.js'
import type {AuthContext} from '../context.js'
import type {AuthApi, IssuedCertificate, LoginRequest} from '../contract.js'
import {userKey} from '../names.js'
import type {User} from '../records.js'
import {accountLocked} from './lockout.js'

const defaultTtlSeconds = 12 * 3600
const minTtlSeconds = 60

/** The same words for an unknown user, a wrong password and a wrong code: none tells which it was. */
const badCredentials = (): SallyportError =>
  problem('bad_credentials', 'the user name, password or code is wrong', {
    hint: 'try again; after five failures the account is locked for 20 minutes',
  })

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
      const wish = {publicKey, ttlSeconds: request.ttlSeconds, address}
      const issued = await issueFor(context, user, wish).catch(async error => {
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

interface CertificateWish {
  /** Plain blob. */
  publicKey: Buffer
  ttlSeconds?: number | undefined
  /** IP address of whoever logs in; absent where nobody does. */
  address?: string
}

/** Issues a user certificate by the user's roles, and puts that on record. @throws account_locked, access_denied */
export async function issueFor(
  context: AuthContext,
  user: User,
  {publicKey, ttlSeconds = defaultTtlSeconds, address}: CertificateWish,
): Promise<IssuedCertificate> {
  const {authorities, settings, now} = context
  const logins = await unlockedLogins(context, user)
  const roles = await context.roles.named(user.roles)
  const ttl = Math.min(Math.max(ttlSeconds, minTtlSeconds), maxTtlSeconds(roles))
  const validBefore = Math.floor(now() / 1000) + Math.floor(ttl)
  const options = mergeOptions(roles, settings.access)
  const pin = options.pinSourceIp ? pinFor(user, address) : undefined
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
      ...(pin ? [pin] : []),
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

/** A certificate that is to be pinned and cannot be is not made. @throws access_denied */
function pinFor({name}: User, address: string | undefined): readonly [string, string] {
  const pin = address === undefined ? undefined : pinTo(address)
  if (pin) return pin
  throw problem(
    'access_denied',
    address === undefined
      ? `certificates of ${name} are pinned to the address of the login, and here nobody logs in`
      : `certificates of ${name} are pinned to the address of the login, and ${address} cannot be told again`,
    {hint: 'log in with `sallyport login`, from an address without a zone'},
  )
}
