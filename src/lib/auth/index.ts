// The auth service: users, logins, certificates, history. contract.ts is what it does for whom; service.ts does it;
// http-server.ts and http-client.ts carry the contract over a stream.
export {type Carried, createCarried} from './carried.js'
export {type ClusterClient, createClusterClient} from './cluster-client.js'
export type {Credentials, ServerAddress} from './cluster-connection.js'
export {blindMilliseconds, type ClusterFollower, followCluster, withoutAuth} from './cluster-follower.js'
export {type ClusterServer, startClusterServer} from './cluster-server.js'
export {type CompletionOptions, createCompletion, type SessionCompletion} from './completion.js'
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
  SystemApi,
  UserSummary,
} from './contract.js'
export {enrolOverNetwork} from './enrol-client.js'
export {type AuthClient, createAuthClient} from './http-client.js'
export {type ApiServer, createApiServer} from './http-server.js'
export {createMachineKey, type JoinOptions, joinCluster} from './join-client.js'
export {readClusterState} from './kept-state.js'
export type {RemoteAuthApi} from './remote-methods.js'
export type {
  NodeResource,
  Resource,
  RoleResource,
  TrustedClusterResource,
  UserResource,
} from './resource-types.js'
export {createRetention, type Retention} from './retention.js'
export {type AuthServiceOptions, createAuthService} from './service.js'
export {createSessionHolders} from './session-holders.js'
export type {AnonymousApi} from './system-methods.js'
export {askRoot} from './trust-client.js'
export {userOfCertificate} from './user-certificate.js'
export {fromWire, toWire} from './wire.js'
