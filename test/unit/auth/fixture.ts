import {generateKeyPairSync} from 'node:crypto'
import {join} from 'node:path'
import {TOTP} from 'otpauth'
import {type AuditEvent, openAuditLog} from '../../../src/lib/audit/index.js'
import {
  type AuthApi,
  type AuthService,
  type Caller,
  type Carried,
  createAuthService,
  createCarried,
} from '../../../src/lib/auth/index.js'
import type {AuthServiceOptions} from '../../../src/lib/auth/service.js'
import {type Backend, openSqliteBackend} from '../../../src/lib/backend/index.js'
import {type Authorities, openAuthorities} from '../../../src/lib/pki/index.js'
import {openRecordingStore, type RecordingStore} from '../../../src/lib/recording/index.js'
import {formatAuthorizedKey, publicKeyBlob} from '../../../src/lib/sshcert/index.js'
import {atEnd} from '../../support/cleanup.js'
import {temporaryDirectory} from '../../support/temporary-directory.js'

export const password = 'correct horse battery'
export const minute = 60_000
export const hour = 60 * minute

export interface Auth {
  /** Unix ms; tests move it. */
  clock: {now: number}
  service: AuthService
  admin: AuthApi
  anonymous: AuthApi
  backend: Backend
  authorities: Authorities
  recordings: RecordingStore
  carried: Carried
  /** Newest first. */
  events(event?: AuditEvent['event']): Promise<AuditEvent[]>
  /** The same state under a service that was stopped and started, with other settings perhaps. */
  restart(changes?: AuthOptions): Promise<Auth>
}

export interface AuthOptions {
  secondFactor?: 'off' | 'otp'
  recording?: 'proxy' | 'proxy-sync'
  staticTokens?: {value: string; roles: ('proxy' | 'node')[]}[]
  directory?: string
  clusterName?: string
  establishTrust?: AuthServiceOptions['establishTrust']
  clock?: {now: number}
}

export async function openAuth(options: AuthOptions = {}): Promise<Auth> {
  const {secondFactor = 'off', recording = 'proxy'} = options
  const {directory = temporaryDirectory(), clock = {now: Date.UTC(2030, 0, 2, 3, 4, 5)}} = options
  const now = (): number => clock.now
  const {clusterName = 'acme.example', establishTrust} = options
  const backend = await openSqliteBackend({path: join(directory, 'state.db'), now})
  const authorities = await openAuthorities({backend, clusterName, now})
  const audit = await openAuditLog({directory: join(directory, 'audit'), clusterName, now})
  const close = async (): Promise<void> => {
    await audit.close()
    await backend.close()
  }
  const forget = atEnd(close)
  const recordings = await openRecordingStore({
    directory: join(directory, 'recordings'),
    signHead: authorities.signRecordingHead,
    searchMs: 60_000,
    now,
  })
  const access = {clientIdleTimeoutSeconds: 0, disconnectExpiredCert: false}
  const carried = createCarried(now)
  const service = createAuthService({
    settings: {
      ...{clusterName, version: '1.2.3', secondFactor, recording, access},
      ...(options.staticTokens ? {staticTokens: options.staticTokens} : {}),
    },
    ...{backend, authorities, audit, recordings, carried, now},
    publicUrl: () => 'https://proxy.acme.example:3080',
    ...(establishTrust && {establishTrust}),
  })
  return {
    ...{clock, service, backend, authorities, recordings, carried},
    admin: service.as({kind: 'admin'}),
    anonymous: service.as({kind: 'anonymous', address: '192.0.2.7'}),
    events: event => audit.query({...(event ? {event: [event]} : {}), limit: 1000}),
    async restart(changes = {}) {
      forget()
      await close()
      return openAuth({...options, ...changes, directory, clock})
    },
  }
}

export const newKeyLine = (): string =>
  formatAuthorizedKey(publicKeyBlob(generateKeyPairSync('ed25519').publicKey), 'test')

export const tokenOf = (url: string): string => url.slice(url.lastIndexOf('/') + 1)

/** A user who has signed up; with `otp` resolves to the secret. */
export async function signUp(
  auth: Auth,
  name = 'joe',
  {logins = ['joe', 'root'], roles}: {logins?: string[]; roles?: string[]} = {},
): Promise<{secret: string | undefined}> {
  const {url} = await auth.admin.createUser({name, logins, ...(roles ? {roles} : {})})
  const token = tokenOf(url)
  const secret = (await auth.anonymous.getInvite(token)).otp?.secret
  await auth.anonymous.acceptInvite({
    ...{token, password},
    ...(secret === undefined ? {} : {otp: codeOf(secret, auth.clock.now)}),
  })
  return {secret}
}

export const codeOf = (secret: string, timestamp: number): string => new TOTP({secret}).generate({timestamp})

export const logIn = (auth: Auth, changes: Partial<Parameters<AuthApi['login']>[0]> = {}) =>
  auth.anonymous.login({user: 'joe', password, publicKey: newKeyLine(), ...changes})

export const userCaller = (name: string, roles = ['access'], logins = ['joe', 'root']): Caller => ({
  kind: 'user',
  ...{name, roles, logins},
})

/** The error of a promise that must fail. */
export const failure = (promise: Promise<unknown>): Promise<{code: string; message: string; hint?: string}> =>
  promise.then(
    () => {
      throw new Error('expected a failure')
    },
    error => error,
  )
