import type {HostRecord} from '../access/hosts.js'
import type {Lock, LockKind} from '../access/locks.js'
import type {Route} from '../access/route.js'
import type {AccessDecision, AccessRequest, Identity} from '../access/types.js'
import type {AuditCheckpoint} from '../audit/checkpoint.js'
import type {AuditEvent, AuditInput, AuditQuery} from '../audit/event.js'
import type {Tombstone} from '../recording/evidence/tombstone.js'
import type {RecordingSearchAnswer} from '../recording/search/types.js'
import type {RecordingChunk, RecordingEnd, RecordingMeta, RecordingSummary} from '../recording/types.js'
import type {AccessExplanation, RoleRecord} from './access/types.js'
import type {ClusterState} from './cluster/state-types.js'
import type {RecordingsQuery, RecordingsSearch} from './history/types.js'
import type {HostRouteRequest, HostsQuery, RegisteredHost} from './inventory/types.js'
import type {Enrolment, EnrolRequest} from './join/enrol-types.js'
import type {CreatedToken, HostCertificates, JoinRequest, JoinTokenSummary, TokenRole} from './join/types.js'
import type {
  NodeResource,
  Resource,
  ResourceOutcome,
  RoleResource,
  TrustedClusterResource,
} from './resources/types.js'
import type {
  JoinPermit,
  ParticipantMode,
  SessionEnding,
  SessionMfa,
  SessionTracker,
} from './sessions/types.js'
import type {
  ForeignAdmission,
  ForeignRequest,
  RemoteCluster,
  TrustAnswer,
  TrustedCluster,
  TrustRequest,
} from './trust/types.js'
import type {
  Authority,
  AuthorityType,
  CreatedInvite,
  Invite,
  IssuedCertificate,
  LoginRequest,
  SecondFactor,
  UserSummary,
} from './users/types.js'

export type * from './access/types.js'
export type * from './cluster/state-types.js'
export type * from './history/types.js'
export type * from './inventory/types.js'
export type * from './join/types.js'
export type * from './resources/types.js'
export type * from './sessions/types.js'
export type * from './trust/types.js'
export type * from './users/types.js'

/** Who is asking. Decided once, by the transport that let them in; the service never guesses. */
export type Caller =
  /** The Unix socket of the auth host: whoever may open it is an administrator. */
  | {kind: 'admin'}
  /** A role of this cluster, in this process or over mTLS. */
  | {
      kind: 'system'
      role: 'proxy' | 'node'
      /** UUID of its machine, without which it is nobody; from its certificate where it calls from another machine. */
      hostId?: string
      /** `ip:port` that it calls from; absent in this process. */
      address?: string
    }
  /** A user known by an SSH certificate that the proxy verified. */
  | {
      kind: 'user'
      name: string
      roles: string[]
      logins: string[]
      /** Unix ms until which the certificate is good, however long the connection lasts. */
      expires?: number
    }
  /** Nobody yet: sign-up and login. */
  | {kind: 'anonymous'; address: string}

export interface Ping {
  clusterName: string
  version: string
  secondFactor: SecondFactor
  recording: 'node' | 'proxy' | 'off' | 'node-sync' | 'proxy-sync'
  /** Unix ms on the server: a client whose clock differs says so instead of failing oddly. */
  time: number
}

/**
 * Everything the auth service does for anybody. One interface, three implementations: the service itself, the client
 * of people (HTTP) and the client of machines (HTTP/2 over mTLS). Every method throws SallyportError; `access_denied` when
 * the caller may not.
 */
export interface AuthApi {
  // anybody
  ping(): Promise<Ping>
  login(request: LoginRequest): Promise<IssuedCertificate>
  getInvite(token: string): Promise<Invite>
  acceptInvite(request: {token: string; password: string; otp?: string}): Promise<{user: string}>
  exportAuthorities(request: {type: AuthorityType; fingerprint?: string}): Promise<string>
  /**
   * Enrols a plain sshd host: a certificate for its key, and a place in the inventory. With a token for `openssh`, or as an
   * administrator. @throws token_invalid, access_denied, already_exists, rate_limited, invalid_input
   */
  enrolHost(request: EnrolRequest): Promise<Enrolment>
  /** With a token that is good for these roles, and once. @throws token_invalid, access_denied, rate_limited */
  join(request: JoinRequest): Promise<HostCertificates>

  // administrators, and users whose role says so
  createUser(request: {
    name: string
    logins: string[]
    roles?: string[]
    ttlSeconds?: number
  }): Promise<CreatedInvite>
  updateUser(request: {name: string; logins?: string[]; roles?: string[]}): Promise<UserSummary>
  listUsers(): Promise<UserSummary[]>
  removeUser(name: string): Promise<void>
  /** Takes the password and second factor away and makes a new sign-up link; also unlocks. */
  resetUser(request: {name: string; ttlSeconds?: number}): Promise<CreatedInvite>
  unlockUser(name: string): Promise<void>
  /** Roles and users from resources: all of them or none. With `force`, those that exist are replaced. */
  createResources(request: {resources: Resource[]; force?: boolean}): Promise<ResourceOutcome[]>
  listRoles(): Promise<RoleRecord[]>
  getRole(name: string): Promise<RoleRecord>
  /** Replaces a role if it still is at this revision. */
  updateRole(request: {resource: RoleResource; revision: number}): Promise<RoleRecord>
  /** Refused while users have the role, unless forced. */
  removeRole(request: {name: string; force?: boolean}): Promise<void>
  createLock(request: {kind: LockKind; name: string; message?: string; ttlSeconds?: number}): Promise<Lock>
  listLocks(): Promise<Lock[]>
  removeLock(id: string): Promise<void>
  /** Becomes a leaf of this cluster. @throws token_invalid, access_denied, already_exists, invalid_input */
  establishTrust(request: TrustRequest): Promise<TrustAnswer>
  /** The leaves of this cluster. */
  listRemoteClusters(): Promise<RemoteCluster[]>
  /** A leaf that is removed can no longer keep a tunnel. */
  removeRemoteCluster(name: string): Promise<void>
  /** The roots of this cluster, without what is secret. */
  listTrustedClusters(): Promise<TrustedClusterResource[]>
  removeTrustedCluster(name: string): Promise<void>
  /**
   * The hosts of the inventory, by name, those that are offline among them. Users see the hosts that some login of theirs
   * may reach; all of them with the right to list nodes.
   */
  listHosts(query: HostsQuery): Promise<HostRecord[]>
  /** A registered host by its UUID, or by its name where only one has it. @throws not_found, host_ambiguous */
  getHost(name: string): Promise<RegisteredHost>
  /** Replaces what is registered if it still is at this revision. */
  updateHost(request: {resource: NodeResource; revision: number}): Promise<RegisteredHost>
  /** Takes a host out of the inventory, by UUID or unique name. A node that still runs is back with its next heartbeat. */
  removeHost(name: string): Promise<void>
  /** Users may ask about themselves. `host` in any spelling that ssh takes. */
  explainAccess(request: {user: string; login: string; host: string}): Promise<AccessExplanation>
  listAuthorities(): Promise<Authority[]>
  signHost(request: {
    principals: string[]
    publicKey: string
    ttlSeconds?: number
  }): Promise<{certificate: string}>
  signUser(request: {user: string; publicKey: string; ttlSeconds?: number}): Promise<IssuedCertificate>

  /** A token for another machine to join with. A `value` of one's own has at least 16 characters. */
  createToken(request: {roles: TokenRole[]; ttlSeconds?: number; value?: string}): Promise<CreatedToken>
  listTokens(): Promise<JoinTokenSummary[]>
  /** By its ID, or by itself. */
  removeToken(idOrToken: string): Promise<void>

  // what happened
  listEvents(query: AuditQuery): Promise<AuditEvent[]>
  listRecordings(query: RecordingsQuery): Promise<RecordingSummary[]>
  /**
   * What was on the screens of sessions. The search, and each session that lines are shown of, is audited.
   * @throws invalid_input, timeout, not_found for `after`, unavailable while too many others search
   */
  searchRecordings(query: RecordingsSearch): Promise<RecordingSearchAnswer>
  /** Bytes of the recording, gzip members; the look is audited. */
  openRecording(sid: string): Promise<{summary: RecordingSummary; data: AsyncIterable<Uint8Array>}>

  // what is kept of it
  /** For good, but for a tombstone. @throws access_denied while it is held, unavailable while it has no end */
  removeRecording(request: {sid: string; reason?: string}): Promise<Tombstone>
  /** What stayed of a recording that was removed, as text for `tombstoneFault`; for those who could have seen it. */
  getTombstone(sid: string): Promise<string>
  /** Nobody can remove the recording, and retention passes over it, until it is released. */
  holdRecording(request: {sid: string; reason?: string}): Promise<RecordingSummary>
  releaseRecording(request: {sid: string; reason?: string}): Promise<void>
  /** The end of the audit log now, signed: to be kept elsewhere. */
  auditCheckpoint(): Promise<AuditCheckpoint>
  // sessions that run now
  /** The oldest first: one's own, those that one may join, and all of them with the right to list sessions. */
  listTrackers(): Promise<SessionTracker[]>
  /** Has whoever holds the session end it. @throws not_found, access_denied for who may not moderate it */
  endSession(request: {sid: string; reason?: string}): Promise<void>

  // system roles only
  /** Durable when it resolves. Of a machine elsewhere only for what that machine holds itself. */
  upsertTracker(tracker: SessionTracker): Promise<void>
  removeTracker(sid: string): Promise<void>
  /** All that an earlier process of this holder has left: its sessions ended with it. */
  dropTrackers(heldBy: string): Promise<void>
  /**
   * Whether a user may join a session in this mode; a refusal is audited. A node asks for the sessions that it holds.
   * @throws not_found also where the user may not know of the session, access_denied for the mode
   */
  permitJoin(request: {identity: Identity; sid: string; mode: ParticipantMode}): Promise<JoinPermit>
  /** Sessions to be ended: all of the last minutes at once, and again after each change, until the signal. */
  watchEndings(request: {signal: AbortSignal}): Promise<AsyncIterable<readonly SessionEnding[]>>
  /** Public CA keys as blobs, to check certificates with. */
  trustedAuthorities(): Promise<{user: Buffer[]; host: Buffer[]; openssh: Buffer[]}>
  /** Host certificate by which the recording proxy stands in for `name`; short-lived, public key is the proxy's own. */
  issueProxyHostCertificate(request: {principals: string[]; publicKey: Buffer}): Promise<Buffer>
  /**
   * Host certificate of a node, over its own key and for its own names: the UUID by which the transport knows it, and the
   * name it goes by. Short-lived: the node asks again in time.
   */
  issueNodeHostCertificate(request: {nodename: string; publicKey: Buffer}): Promise<Buffer>
  /** A new certificate for the role that asks, over the key that its machine joined with. */
  renewHostCertificates(request: {publicKey: string}): Promise<HostCertificates>
  /** A node says that it is there, at least every ten minutes, and what it is like; of itself alone. */
  heartbeat(host: HostRecord): Promise<void>
  /** All roots: at once, and again after each change, until the signal. */
  watchTrustedClusters(request: {signal: AbortSignal}): Promise<AsyncIterable<readonly TrustedCluster[]>>
  /** Whether a user of a root may go where they want to, and where that is. Proxies only. */
  admitForeign(request: ForeignRequest): Promise<ForeignAdmission>
  /** Which host of the inventory somebody means. Proxies only: the answer may be a host that its asker must not see. */
  routeHost(request: HostRouteRequest): Promise<Route>
  /** A proxy says where users reach its web port, `https://host[:port]`: links are made for the one that said so last. */
  announceProxy(request: {webUrl: string}): Promise<void>
  /**
   * A proxy says whose connection it carries to the port of the auth service, unread, before it passes a byte on: the one
   * that it has made from its own `port`. `address` is `ip:port`.
   */
  vouchConnection(request: {port: number; address: string}): Promise<void>
  /** A proxy says where other proxies reach its SSH front, `host:port`, at least once a day. */
  placeProxy(request: {address: string}): Promise<void>
  decide(request: AccessRequest): Promise<AccessDecision>
  /** Uses the code up. @throws bad_credentials, account_locked, rate_limited */
  checkSessionMfa(request: SessionMfa): Promise<void>
  /**
   * All locks in force: at once, and again after each change, until the signal. It is the whole state each time, so that
   * whoever begins again after a broken connection has missed nothing.
   */
  watchLocks(request: {signal: AbortSignal}): Promise<AsyncIterable<readonly Lock[]>>
  /** What the cluster is, whole, at once and again after changes, until the signal. At most one a second. */
  watchCluster(request: {signal: AbortSignal}): Promise<AsyncIterable<ClusterState>>
  /** Resolves when the event cannot be lost any more. */
  emit(input: AuditInput): Promise<void>
  /** Several at once, in this order. Each has a uid: when it fails, some may be on record, and all are told again. */
  emitAll(inputs: readonly AuditInput[]): Promise<void>
  beginRecording(meta: RecordingMeta): Promise<void>
  appendRecording(sid: string, chunk: RecordingChunk): Promise<void>
  sealRecording(sid: string, end: RecordingEnd): Promise<void>
}

/** Gives a caller its view of the service. */
export type AuthService = {as(caller: Caller): AuthApi}
