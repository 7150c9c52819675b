import type {Role} from '../access/index.js'
import type {AuditLog} from '../audit/index.js'
import type {Backend} from '../backend/index.js'
import {asProblem, problem} from '../errors/index.js'
import type {Authorities} from '../pki/index.js'
import type {RecordingStore} from '../recording/index.js'
import {createKeyedTurn} from '../waiting/index.js'
import {currentCaller, decideCurrent, explainMethods} from './access/current-user.js'
import {lockMethods} from './access/locks.js'
import {roleMethods} from './access/roles.js'
import {createStoredLocks} from './access/stored-locks.js'
import {createStoredRoles} from './access/stored-roles.js'
import {type Carried, createCarried} from './cluster/carried.js'
import {proxyWordMethods} from './cluster/proxy-word.js'
import {clusterStateMethods} from './cluster/state.js'
import type {AuthContext, AuthSettings, EstablishTrust} from './context.js'
import type {AuthApi, AuthService, Caller} from './contract.js'
import {historyMethods} from './history/history.js'
import {keepMethods} from './history/keep.js'
import {reportingMethods} from './history/reporting.js'
import {hostMethods} from './inventory/hosts.js'
import {createInventory} from './inventory/inventory.js'
import {enrolMethods} from './join/enrol.js'
import {joinMethods} from './join/join.js'
import {createJoining} from './join/joining.js'
import {joinTokenMethods} from './join/tokens.js'
import {
  createRecords,
  endingSchema,
  failuresSchema,
  hostSchema,
  inviteSchema,
  lockSchema,
  otpUseSchema,
  storedRoleSchema,
  trackerSchema,
  userSchema,
} from './records.js'
import {createResourcesMethod} from './resources/create.js'
import {apiRights, requireRight} from './rights.js'
import {createSessionHolders} from './sessions/holders.js'
import {trackerMethods} from './sessions/trackers.js'
import {proxyPlaceMethods} from './sessions/ways.js'
import {foreignUserMethods} from './trust/foreign-users.js'
import {createTrust} from './trust/records.js'
import {remoteClusterMethods} from './trust/remote-clusters.js'
import {trustedClusterMethods} from './trust/trusted-clusters.js'
import {certificateMethods} from './users/certificates.js'
import {inviteMethods} from './users/invites.js'
import {createLockout} from './users/lockout.js'
import {loginMethod} from './users/login.js'
import {createOneTimePasswords} from './users/otp.js'
import {createPasswords} from './users/passwords.js'
import {sessionMfaMethods} from './users/session-mfa.js'
import {userMethods} from './users/users.js'

export interface AuthServiceOptions {
  settings: AuthSettings
  backend: Backend
  authorities: Authorities
  audit: Pick<AuditLog, 'emit' | 'query' | 'head'>
  recordings: RecordingStore
  /**
   * Where users reach the web pages; asked when a link is made. `announced` is what a proxy on another machine said last.
   */
  publicUrl: (announced: string | undefined) => string
  /** `host:port` by which other machines reach this service; asked when a token is made. */
  authAddress?: () => string
  establishTrust?: EstablishTrust
  /** Whose connections proxies carry to the port for other machines. */
  carried?: Carried
  /** Unix ms. */
  now?: () => number
}

/** The auth service: every method checked against the caller's rights before it runs. */
export function createAuthService(options: AuthServiceOptions): AuthService {
  const context = createContext(options)
  return {as: caller => guard(context, caller)}
}

function createContext(options: AuthServiceOptions): AuthContext {
  const {backend, authorities, audit, recordings, now = Date.now} = options
  const joining = createJoining(backend, now, options.authAddress)
  const publicUrl = async () => options.publicUrl((await joining.webAddress.get('latest'))?.value.url)
  const settings = withRecordingMode(options.settings)
  return {
    ...{settings, backend, authorities, audit, recordings, publicUrl, now},
    users: createRecords(backend, 'users', userSchema),
    knowsSecrets: true,
    invites: createRecords(backend, 'invites', inviteSchema),
    passwords: createPasswords(),
    otp: createOneTimePasswords(createRecords(backend, 'otp', otpUseSchema), settings.clusterName, now),
    lockout: createLockout(createRecords(backend, 'failures', failuresSchema), now),
    inTurn: createKeyedTurn({most: maxWaitingLogins, tooMany: tooManyLogins}),
    roles: createStoredRoles(createRecords(backend, 'roles', storedRoleSchema)),
    locks: createStoredLocks(backend, createRecords(backend, 'locks', lockSchema)),
    joining,
    inventory: createInventory(backend, createRecords(backend, 'hosts', hostSchema), now),
    trust: createTrust(backend),
    establishTrust: options.establishTrust ?? (() => Promise.reject(cannotReachOthers())),
    trackers: createRecords(backend, 'trackers', trackerSchema),
    endings: createRecords(backend, 'endings', endingSchema),
    holders: createSessionHolders(backend, now),
    carried: options.carried ?? createCarried(now),
    emit: input => audit.emit(input),
  }
}

/** More waiting than this for one account is no person and no reasonable script. */
const maxWaitingLogins = 16

const tooManyLogins = () =>
  problem('rate_limited', 'too many logins of this user at once', {hint: 'try again in a moment'})

const cannotReachOthers = () => problem('unavailable', 'this service cannot reach other clusters')

function methodsFor(context: AuthContext, caller: Caller, roles: readonly Role[]): AuthApi {
  const {settings, now} = context
  const actor = caller.kind === 'user' ? caller.name : caller.kind
  const address = caller.kind === 'anonymous' ? caller.address : 'local'
  return {
    async ping() {
      const {clusterName, version, secondFactor, recording} = settings
      return {clusterName, version, secondFactor, recording, time: now()}
    },
    decide: request => decideCurrent(context, request, caller),
    ...explainMethods(context, caller, roles),
    ...loginMethod(context, address),
    ...inviteMethods(context, address),
    ...userMethods(context, actor),
    ...roleMethods(context, actor),
    ...createResourcesMethod(context, caller, roles),
    ...lockMethods(context, actor),
    ...hostMethods(context, caller, roles),
    ...enrolMethods(context, caller),
    ...certificateMethods(context, actor, caller),
    ...historyMethods(context, caller, roles),
    ...reportingMethods(context, caller),
    ...keepMethods(context, caller, roles),
    ...joinTokenMethods(context, caller, actor),
    ...joinMethods(context, caller),
    ...proxyWordMethods(context, caller),
    ...clusterStateMethods(context, caller),
    ...sessionMfaMethods(context, caller),
    ...trackerMethods(context, caller, roles),
    ...proxyPlaceMethods(context, caller),
    ...remoteClusterMethods(context, caller, actor),
    ...trustedClusterMethods(context, actor),
    ...foreignUserMethods(context),
  }
}

/** `proxy-sync` and `node-sync`: a session whose recording cannot be kept does not go on, whatever its roles say. */
const withRecordingMode = (settings: AuthSettings): AuthSettings =>
  settings.recording.endsWith('-sync')
    ? {...settings, access: {...settings.access, recordSession: 'strict'}}
    : settings

/** Puts the check of rights in front of every method: those the caller has now, not when the certificate was made. */
function guard(context: AuthContext, given: Caller): AuthApi {
  const guarded = Object.keys(apiRights).map(name => {
    const method = name as keyof AuthApi
    return [
      method,
      async (...parameters: unknown[]) => {
        const {caller, roles} = await currentCaller(context, given)
        await audited(context, caller, method, () => requireRight(caller, method, roles))
        const call = methodsFor(context, caller, roles)[method] as (...values: unknown[]) => Promise<unknown>
        return call(...parameters)
      },
    ]
  })
  return Object.fromEntries(guarded) as AuthApi
}

/** A refusal goes on record with who asked for what. */
async function audited(
  {emit}: AuthContext,
  caller: Caller,
  method: keyof AuthApi,
  check: () => void,
): Promise<void> {
  try {
    check()
  } catch (refusal) {
    await emit({
      event: 'auth',
      success: false,
      error: asProblem(refusal).message,
      ...(caller.kind === 'user' ? {user: caller.name} : {}),
      ...(caller.kind === 'anonymous' ? {'addr.remote': caller.address} : {}),
      fields: {method, caller: caller.kind},
    })
    throw refusal
  }
}
