import type {ClusterAccess, RoutingStrategy} from '../access/index.js'
import type {AuditEvent, AuditInput, AuditLog, AuditSink} from '../audit/index.js'
import type {Backend} from '../backend/index.js'
import type {Authorities} from '../pki/index.js'
import type {RecordingStore} from '../recording/index.js'
import type {StoredLocks} from './access/stored-locks.js'
import type {StoredRoles} from './access/stored-roles.js'
import type {Carried} from './cluster/carried.js'
import type {Ping, SecondFactor, TrustAnswer, TrustRequest} from './contract.js'
import type {Inventory} from './inventory/inventory.js'
import type {Joining, StaticToken} from './join/joining.js'
import type {Records, StoredEnding, StoredInvite, StoredTracker, User} from './records.js'
import type {SessionHolders} from './sessions/holders.js'
import type {Trust} from './trust/records.js'
import type {Lockout} from './users/lockout.js'
import type {OneTimePasswords} from './users/otp.js'
import type {Passwords} from './users/passwords.js'

/** What the cluster's configuration says about the auth service. */
export interface AuthSettings {
  clusterName: string
  version: string
  secondFactor: SecondFactor
  recording: Ping['recording']
  access: ClusterAccess
  /** From the configuration: good for as long as they stand there. */
  staticTokens?: readonly StaticToken[]
  /** What roles on other machines are told of the configuration. */
  forRoles?: {checkHostKeys: boolean; keepAliveMilliseconds: number}
  /** What becomes of a name that several hosts have; unambiguous_match where nothing is said. */
  routingStrategy?: RoutingStrategy
  /** What the proxies go by: no host that enrols itself may have such a name. */
  proxyNames?: readonly string[]
}

/** Asks another cluster to take this one for a leaf; what answers at the address has to be the authority of a pin. */
export type EstablishTrust = (
  root: {address: string; pins: readonly string[]},
  request: TrustRequest,
) => Promise<TrustAnswer>

/** The parts that every method of the service works with. */
export interface AuthContext {
  settings: AuthSettings
  backend: Backend
  authorities: Authorities
  audit: AuditSink & Pick<AuditLog, 'query' | 'head'>
  recordings: RecordingStore
  users: Records<User>
  /** As of an AccessState: the records of users have the secrets of their authenticators. */
  knowsSecrets: true
  invites: Records<StoredInvite>
  passwords: Passwords
  otp: OneTimePasswords
  lockout: Lockout
  /** One login at a time for each account. */
  inTurn<Result>(account: string, job: () => Promise<Result>): Promise<Result>
  /** Where users reach the web pages: `https://host:port`. */
  publicUrl: () => string | Promise<string>
  now: () => number
  roles: StoredRoles
  locks: StoredLocks
  joining: Joining
  inventory: Inventory
  trust: Trust
  establishTrust: EstablishTrust
  trackers: Records<StoredTracker>
  endings: Records<StoredEnding>
  holders: SessionHolders
  carried: Carried
  emit(input: AuditInput): Promise<AuditEvent>
}
