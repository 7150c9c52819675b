// Who may do what: roles, locks, and decisions with their reasons. Pure; no clock, no disk, no network.
export {rolesOfExtension} from './certificate-roles.js'
export {decide, decideElsewhere, explain, mayReach, mayUse, noAuthenticator} from './decide.js'
export {hostHasWords, parseHostQuery} from './host-query.js'
export {type HostRecord, isOnline, namesOf} from './hosts.js'
export {
  type JoinMode,
  type JoinPolicy,
  type JoinRequirement,
  joinLogin,
  joinModes,
  type Oversight,
  sessionKinds,
} from './join-policies.js'
export {
  judgeOversight,
  modesOf,
  type Onlooker,
  oversightOf,
} from './joining.js'
export {judgeJoin, mayKnowOf} from './judge-join.js'
export {patternProblem} from './labels.js'
export {findLock, type Lock, type LockKind, type LockSubject, lockKinds, lockReason} from './locks.js'
export {isLoopback, isLoopbackAddress} from './loopback.js'
export {maxSessionTtlSeconds, maxTtlSeconds, mergeOptions} from './options.js'
export {foreignName, mapRoles, type RoleMapping} from './role-map.js'
export {
  isPreset,
  presetRoles,
  type Role,
  type RoleConditions,
  type RoleOptions,
  type Rule,
  restrictionsOf,
} from './roles.js'
export {
  ambiguousHost,
  chooseHost,
  type Found,
  noSuchHost,
  type Route,
  type RouteRequest,
  type RoutingStrategy,
} from './route.js'
export {templateProblem} from './templates.js'
export type {
  AccessDecision,
  AccessRequest,
  ClusterAccess,
  Explanation,
  Identity,
  RoleVerdict,
  SessionOptions,
  Strictness,
} from './types.js'
