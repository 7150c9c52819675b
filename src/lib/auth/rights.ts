import {mayUse, type Role} from '../access/index.js'
import {problem} from '../errors/index.js'
import type {AuthApi, Caller} from './contract.js'

/** Who may call a method: anybody; anyone known; whoever has this right by a role; only a role of the cluster. */
type Right = 'anybody' | 'known' | 'system' | readonly [resource: string, verb: string]

/** One line for every method of the API, so that a new one cannot be forgotten: it would not compile. */
export const apiRights: Readonly<Record<keyof AuthApi, Right>> = {
  ping: 'anybody',
  login: 'anybody',
  getInvite: 'anybody',
  acceptInvite: 'anybody',
  exportAuthorities: 'anybody',
  createUser: ['user', 'create'],
  updateUser: ['user', 'update'],
  listUsers: ['user', 'list'],
  removeUser: ['user', 'delete'],
  resetUser: ['user', 'update'],
  unlockUser: ['user', 'update'],
  listAuthorities: ['cert_authority', 'list'],
  // Signing decides who people and hosts are; no role of a user has it.
  signHost: ['cert_authority', 'sign'],
  signUser: ['cert_authority', 'sign'],
  // What a user may see of these is narrowed in `history.ts`.
  listEvents: 'known',
  listRecordings: 'known',
  searchRecordings: 'known',
  openRecording: 'known',
  trustedAuthorities: 'system',
  issueProxyHostCertificate: 'system',
  decide: 'system',
  emit: 'system',
  beginRecording: 'system',
  appendRecording: 'system',
  sealRecording: 'system',
}

/** Methods that only a proxy may call, not a node. */
const proxyOnly: ReadonlySet<keyof AuthApi> = new Set(['issueProxyHostCertificate'])

/** Decides whether `caller` may call `method` at all. Pure. */
export function mayCall(
  caller: Caller,
  method: keyof AuthApi,
  rolesOf: (names: readonly string[]) => Role[],
): boolean {
  const right = apiRights[method]
  if (right === 'anybody') return true
  switch (caller.kind) {
    case 'anonymous':
      return false
    case 'admin':
      return right !== 'system'
    case 'system':
      return right === 'system' && (caller.role === 'proxy' || !proxyOnly.has(method))
    case 'user':
      return right === 'known' || (right !== 'system' && mayUse(rolesOf(caller.roles), right[0], right[1]))
  }
}

/** @throws access_denied */
export function requireRight(
  caller: Caller,
  method: keyof AuthApi,
  rolesOf: (names: readonly string[]) => Role[],
): void {
  if (mayCall(caller, method, rolesOf)) return
  throw problem('access_denied', 'your roles do not permit this', {hint: 'ask an administrator'})
}
