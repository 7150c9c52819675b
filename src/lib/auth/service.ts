import {decide, presetRoles, type Role} from '../access/index.js'
import type {AuditLog} from '../audit/index.js'
import type {Backend} from '../backend/index.js'
import type {Authorities} from '../pki/index.js'
import type {RecordingStore} from '../recording/index.js'
import {certificateMethods} from './certificates.js'
import type {AuthContext, AuthSettings} from './context.js'
import type {AuthApi, AuthService, Caller} from './contract.js'
import {historyMethods} from './history.js'
import {inviteMethods} from './invites.js'
import {createLockout} from './lockout.js'
import {loginMethod} from './login.js'
import {createOneTimePasswords} from './otp.js'
import {createPasswords} from './passwords.js'
import {createRecords, failuresSchema, inviteSchema, otpUseSchema, userSchema} from './records.js'
import {requireRight} from './rights.js'
import {userMethods} from './users.js'

export interface AuthServiceOptions {
  settings: AuthSettings
  backend: Backend
  authorities: Authorities
  audit: Pick<AuditLog, 'emit' | 'query'>
  recordings: RecordingStore
  /** Where users reach the web pages; asked when a link is made. */
  publicUrl: () => string
  /** Unix ms. */
  now?: () => number
}

/** The auth service: every method checked against the caller's rights before it runs. */
export function createAuthService(options: AuthServiceOptions): AuthService {
  const context = createContext(options)
  return {as: caller => guard(caller, methodsFor(context, caller), context.roles)}
}

function createContext(options: AuthServiceOptions): AuthContext {
  const {settings, backend, authorities, audit, recordings, publicUrl, now = Date.now} = options
  return {
    ...{settings, backend, authorities, audit, recordings, publicUrl, now},
    users: createRecords(backend, 'users', userSchema),
    invites: createRecords(backend, 'invites', inviteSchema),
    passwords: createPasswords(),
    otp: createOneTimePasswords(createRecords(backend, 'otp', otpUseSchema), settings.clusterName, now),
    lockout: createLockout(createRecords(backend, 'failures', failuresSchema), now),
    roles: names =>
      names.flatMap(name => (Object.hasOwn(presetRoles, name) ? [presetRoles[name] as Role] : [])),
    emit: input => audit.emit(input),
  }
}

function methodsFor(context: AuthContext, caller: Caller): AuthApi {
  const {settings, now} = context
  const actor = caller.kind === 'user' ? caller.name : caller.kind
  const address = caller.kind === 'anonymous' ? caller.address : 'local'
  return {
    async ping() {
      const {clusterName, version, secondFactor, recording} = settings
      return {clusterName, version, secondFactor, recording, time: now()}
    },
    async decide(request) {
      return decide(context.roles(request.identity.roles), request, settings.access)
    },
    ...loginMethod(context, address),
    ...inviteMethods(context, address),
    ...userMethods(context, actor),
    ...certificateMethods(context, actor),
    ...historyMethods(context, caller),
  }
}

/** Puts the check of rights in front of every method. */
function guard(caller: Caller, methods: AuthApi, roles: (names: readonly string[]) => Role[]): AuthApi {
  const guarded = Object.entries(methods).map(([name, method]) => [
    name,
    async (...parameters: unknown[]) => {
      requireRight(caller, name as keyof AuthApi, roles)
      return (method as (...values: unknown[]) => Promise<unknown>)(...parameters)
    },
  ])
  return Object.fromEntries(guarded) as AuthApi
}
