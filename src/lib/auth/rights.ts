import {mayUse, type Role} from '../access/index.js'
import {problem} from '../errors/index.js'
import type {AuthApi, Caller} from './contract.js'

/**
 * Who may call a method: anybody; anyone known; whoever has this right by a role; an administrator on the auth host; only
 * a role of the cluster.
 */
type Right = 'anybody' | 'known' | 'admin' | 'system' | readonly [resource: string, verb: string]

/** One line for every method of the API, so that a new one cannot be forgotten: it would not compile. */
export const apiRights: Readonly<Record<keyof AuthApi, Right>> = {
  ping: 'anybody',
  login: 'anybody',
  getInvite: 'anybody',
  acceptInvite: 'anybody',
  exportAuthorities: 'anybody',
  join: 'anybody',
  // With a token for it.
  enrolHost: 'anybody',
  establishTrust: 'anybody',
  listRemoteClusters: 'known',
  removeRemoteCluster: ['trusted_cluster', 'delete'],
  listTrustedClusters: ['trusted_cluster', 'list'],
  removeTrustedCluster: ['trusted_cluster', 'delete'],
  createUser: ['user', 'create'],
  updateUser: ['user', 'update'],
  listUsers: ['user', 'list'],
  removeUser: ['user', 'delete'],
  resetUser: ['user', 'update'],
  unlockUser: ['user', 'update'],
  listAuthorities: ['cert_authority', 'list'],
  // What a user sees of these is narrowed in `inventory/hosts.ts`.
  listHosts: 'known',
  getHost: ['node', 'read'],
  updateHost: ['node', 'update'],
  removeHost: ['node', 'delete'],
  // What a user may make of these is narrowed in `resources/create.ts`.
  createResources: 'known',
  listRoles: ['role', 'list'],
  getRole: ['role', 'read'],
  updateRole: ['role', 'update'],
  removeRole: ['role', 'delete'],
  createLock: ['lock', 'create'],
  listLocks: ['lock', 'list'],
  removeLock: ['lock', 'delete'],
  // Of others than themselves only for users who may read roles: narrowed in `access/current-user.ts`.
  explainAccess: 'known',
  // Signing decides who people and hosts are; no role that a user could be given has it.
  signHost: 'admin',
  signUser: 'admin',
  // Which ones a user may make is narrowed in `join/tokens.ts`.
  createToken: ['token', 'create'],
  listTokens: ['token', 'list'],
  removeToken: ['token', 'delete'],
  // What a user may see of these is narrowed in `history/history.ts`.
  listEvents: 'known',
  listRecordings: 'known',
  searchRecordings: 'known',
  openRecording: 'known',
  // Evidence is removed and released by administrators alone, unless a role of their own making says otherwise.
  removeRecording: ['session', 'delete'],
  getTombstone: 'known',
  holdRecording: ['session', 'update'],
  releaseRecording: ['session', 'update'],
  auditCheckpoint: ['event', 'read'],
  // What a user may see and end is narrowed in `sessions/trackers.ts`.
  listTrackers: 'known',
  endSession: 'known',
  upsertTracker: 'system',
  removeTracker: 'system',
  dropTrackers: 'system',
  permitJoin: 'system',
  watchEndings: 'system',
  trustedAuthorities: 'system',
  issueProxyHostCertificate: 'system',
  issueNodeHostCertificate: 'system',
  renewHostCertificates: 'system',
  announceProxy: 'system',
  vouchConnection: 'system',
  placeProxy: 'system',
  heartbeat: 'system',
  routeHost: 'system',
  watchTrustedClusters: 'system',
  admitForeign: 'system',
  decide: 'system',
  checkSessionMfa: 'system',
  watchLocks: 'system',
  watchCluster: 'system',
  emit: 'system',
  emitAll: 'system',
  beginRecording: 'system',
  appendRecording: 'system',
  sealRecording: 'system',
}

/** Methods that only a proxy may call, not a node. */
const proxyOnly: ReadonlySet<keyof AuthApi> = new Set([
  'issueProxyHostCertificate',
  'routeHost',
  'watchTrustedClusters',
  'admitForeign',
  'announceProxy',
  'vouchConnection',
  'placeProxy',
])
/** And the reverse. */
const nodeOnly: ReadonlySet<keyof AuthApi> = new Set(['issueNodeHostCertificate', 'heartbeat'])
/** For users and administrators, and for proxies as well. */
const proxyToo: ReadonlySet<keyof AuthApi> = new Set(['listHosts', 'listRemoteClusters'])

/** Decides whether `caller`, who as a user has these roles, may call `method` at all. Pure. */
export function mayCall(caller: Caller, method: keyof AuthApi, roles: readonly Role[]): boolean {
  const right = apiRights[method]
  if (right === 'anybody') return true
  switch (caller.kind) {
    case 'anonymous':
      return false
    case 'admin':
      return right !== 'system'
    case 'system':
      if (proxyToo.has(method)) return caller.role === 'proxy'
      return right === 'system' && !(caller.role === 'proxy' ? nodeOnly : proxyOnly).has(method)
    case 'user':
      if (right === 'known') return true
      return right !== 'system' && right !== 'admin' && mayUse(roles, right[0], right[1])
  }
}

/** @throws access_denied */
export function requireRight(caller: Caller, method: keyof AuthApi, roles: readonly Role[]): void {
  if (mayCall(caller, method, roles)) return
  throw problem('access_denied', 'your roles do not permit this', {hint: 'ask an administrator'})
}
