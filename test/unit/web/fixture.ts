import {pino} from 'pino'
import type {Invite, LoginRequest} from '../../../src/lib/auth/contract.js'
import {problem} from '../../../src/lib/errors/index.js'
import {buildApp} from '../../../src/lib/web/app.js'
import type {PublicAuth, WebApp, WebOptions} from '../../../src/lib/web/context.js'
import {defaultLimits, type WebLimits} from '../../../src/lib/web/limits.js'
import {selfSignedPem} from './self-signed.js'

export const caKey = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGPKSUTyz1HwHReFVvD5obVsALAgJRNarH4TRpNePnAS'
export const caFingerprint = 'SHA256:qH8baHrA5X0qCBovKCZyM02Q7TFtK4GMqVgOo4TZJAE'
export const password = 'correct horse battery'
export const secret = 'JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP'
export const rightCode = '123456'
export const now = Date.UTC(2026, 0, 2, 3, 4, 5)

export interface FakeAuth extends PublicAuth {
  /** What the service was asked, in order. */
  calls: {method: string; address: string; request?: unknown}[]
  invites: Map<string, Invite>
}

/** The contract's promises as far as the web can see them, kept in memory. */
export function fakeAuth(overrides: Partial<PublicAuth> = {}) {
  const calls: FakeAuth['calls'] = []
  const invites = new Map<string, Invite>()
  const inviteOf = (token: string): Invite => {
    const invite = invites.get(token)
    if (!invite) throw problem('token_invalid', 'the link is unknown, used or expired')
    return invite
  }
  const api: PublicAuth = {
    ping: async () => ({
      clusterName: 'test',
      version: '1.2.3',
      secondFactor: 'otp',
      recording: 'proxy',
      time: now,
    }),
    async login(request: LoginRequest) {
      if (request.password !== password) throw problem('bad_credentials', 'the name or password is wrong')
      return {
        user: request.user,
        clusterName: 'test',
        certificate: 'ssh-ed25519-cert-v01@openssh.com AAAA joe',
        hostAuthorities: [caKey],
        validBefore: now,
      }
    },
    getInvite: async token => inviteOf(token),
    async acceptInvite(request) {
      const invite = inviteOf(request.token)
      if (request.password.length < 12) {
        throw problem('invalid_input', 'the password is too short', {hint: 'use 12 to 128 characters'})
      }
      if (invite.otp && request.otp !== rightCode) throw problem('bad_credentials', 'the code is wrong')
      invites.delete(request.token)
      return {user: invite.user}
    },
    exportAuthorities: async ({type}) => `cert-authority ${caKey} clustername=test&type=${type}\n`,
    ...overrides,
  }
  const as: WebOptions['auth']['as'] = ({address}) => ({
    ping: () => note('ping', address, () => api.ping()),
    login: request => note('login', address, () => api.login(request), request),
    getInvite: token => note('getInvite', address, () => api.getInvite(token), token),
    acceptInvite: request => note('acceptInvite', address, () => api.acceptInvite(request), request),
    exportAuthorities: request =>
      note('exportAuthorities', address, () => api.exportAuthorities(request), request),
  })
  function note<T>(method: string, address: string, run: () => Promise<T>, request?: unknown): Promise<T> {
    calls.push({method, address, request})
    return run()
  }
  return {as, calls, invites}
}

export const anInvite = (changes: Partial<Invite> = {}): Invite => ({
  user: 'joe',
  kind: 'invite',
  clusterName: 'test',
  secondFactor: 'otp',
  otp: {secret, uri: `otpauth://totp/test:joe?secret=${secret}&issuer=test`},
  expires: now + 30 * 60_000,
  ...changes,
})

export interface TestWeb {
  auth: ReturnType<typeof fakeAuth>
  app: WebApp
  /** Lines the service logged. */
  log: string[]
}

export async function testWeb(
  changes: Partial<Omit<WebOptions, 'limits' | 'auth' | 'publicUrl'>> & {
    publicUrl?: string
    limits?: Partial<WebLimits>
    overrides?: Partial<PublicAuth>
  } = {},
): Promise<TestWeb> {
  const {overrides, limits, publicUrl, ...options} = changes
  const auth = fakeAuth(overrides)
  const log: string[] = []
  const app = await buildApp(
    {...webOptions(auth, log), ...options, publicUrl: () => publicUrl, limits: {...defaultLimits, ...limits}},
    await selfSignedPem(),
  )
  await app.ready()
  return {auth, app, log}
}

export const webOptions = (auth: WebOptions['auth'], log: string[] = []) => ({
  auth,
  clusterName: 'test',
  sshAddress: () => '127.0.0.1:3023',
  selfSigned: true,
  logger: pino({level: 'debug'}, {write: line => void log.push(line)}),
  now: () => now,
})
