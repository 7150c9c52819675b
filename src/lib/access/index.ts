// Who may do what: roles, and decisions with their reasons. Pure; no clock, no disk, no network.
export {
  type ClusterAccess,
  decide,
  maxSessionTtlSeconds,
  maxTtlSeconds,
  mayUse,
  mergeOptions,
} from './decide.js'
export {presetRoles, type Role} from './roles.js'
export type {AccessDecision, AccessRequest, Identity, SessionOptions} from './types.js'
