import type {AuthApi} from '../contract.js'

/**
 * Methods that people can call, over HTTP. Those of the roles of the cluster are in `cluster/system-methods.ts`; login and
 * sign-up are the web's, which calls the service itself.
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

export const isRemoteMethod = (method: string): method is RemoteMethod =>
  (remoteMethods as readonly string[]).includes(method)
