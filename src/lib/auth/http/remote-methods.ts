import type {AuthApi} from '../contract.js'

/**
 * Methods that can be called from outside the process. System methods are absent: roles in one process call the
 * service itself.
 */
export const remoteMethods = [
  'ping',
  'exportAuthorities',
  'createUser',
  'updateUser',
  'listUsers',
  'removeUser',
  'resetUser',
  'unlockUser',
  'createResources',
  'listRoles',
  'getRole',
  'updateRole',
  'removeRole',
  'createLock',
  'listLocks',
  'removeLock',
  'enrolHost',
  'listHosts',
  'getHost',
  'updateHost',
  'removeHost',
  'listRemoteClusters',
  'removeRemoteCluster',
  'listTrustedClusters',
  'removeTrustedCluster',
  'explainAccess',
  'listAuthorities',
  'signHost',
  'signUser',
  'createToken',
  'listTokens',
  'removeToken',
  'listEvents',
  'listRecordings',
  'searchRecordings',
  'openRecording',
  'removeRecording',
  'getTombstone',
  'holdRecording',
  'releaseRecording',
  'auditCheckpoint',
  'listTrackers',
  'endSession',
] as const satisfies readonly (keyof AuthApi)[]

export type RemoteMethod = (typeof remoteMethods)[number]

/** The part of the API that reaches across a connection. */
export type RemoteAuthApi = Pick<AuthApi, RemoteMethod>

/**
 * A recording travels as one line of JSON, its summary, and its bytes after that. A header would be too small for it:
 * a session's command may have thousands of characters.
 */
export const maxSummaryBytes = 256 * 1024

export const isRemoteMethod = (method: string): method is RemoteMethod =>
  (remoteMethods as readonly string[]).includes(method)
