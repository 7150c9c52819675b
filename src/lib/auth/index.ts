// The auth service. contract.ts is what it does for whom; service.ts puts the methods together; rights.ts says who may call
// which. `users` logs people in and issues their certificates, `access` keeps roles and locks and decides, `join` takes
// machines in, `inventory` knows the hosts, `sessions` those that run, `history` recordings and events, `trust` other clusters,
// `resources` the YAML of all these. `http` carries the contract to people, `cluster` to machines.
export {type Carried, createCarried} from './cluster/carried.js'
export {type ClusterClient, createClusterClient} from './cluster/client.js'
export type {Credentials} from './cluster/connection.js'
export {blindMilliseconds, type ClusterFollower, followCluster} from './cluster/follower.js'
export {readClusterState} from './cluster/kept-state.js'
export {type ClusterServer, startClusterServer} from './cluster/server.js'
export type {AnonymousApi} from './cluster/system-methods.js'
export {withoutAuth} from './cluster/without-auth.js'
export type {AuthSettings} from './context.js'
export type {
  AccessExplanation,
  AuthApi,
  Authority,
  AuthorityType,
  AuthService,
  Caller,
  ClusterState,
  CreatedInvite,
  HostCertificates,
  Invite,
  IssuedCertificate,
  JoinRole,
  LoginRequest,
  Ping,
  ResourceOutcome,
  RoleRecord,
  SecondFactor,
  SessionTracker,
  UserSummary,
} from './contract.js'
export {createRetention, type Retention} from './history/retention.js'
export {openSignedHeads} from './history/signed-heads.js'
export {type AuthClient, createAuthClient} from './http/client.js'
export type {RemoteAuthApi} from './http/remote-methods.js'
export {type ApiServer, createApiServer} from './http/server.js'
export {fromWire, toWire} from './http/wire.js'
export {createMachineKey, type JoinOptions, joinCluster} from './join/client.js'
export {enrolOverNetwork} from './join/enrol-client.js'
export type {
  NodeResource,
  Resource,
  RoleResource,
  TrustedClusterResource,
  UserResource,
} from './resources/types.js'
export {type AuthServiceOptions, createAuthService} from './service.js'
export {type CompletionOptions, createCompletion, type SessionCompletion} from './sessions/completion.js'
export {createSessionHolders} from './sessions/holders.js'
export type {SystemApi} from './system-api.js'
export {askRoot} from './trust/client.js'
export {userOfCertificate} from './users/user-certificate.js'
