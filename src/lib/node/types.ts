import type {AuthApi, Ping} from '../auth/contract.js'
import type {
  AdmittedClient,
  ConnectionGuard,
  DoorSettings,
  LockWatch,
  Log,
  SessionAuth,
  SessionHub,
} from '../session/index.js'
import type {Channel, HostIdentity} from '../ssh/index.js'
import type {Account, AgentSocket, NodeProcess, ProcessSpec} from './process/index.js'

/** What a node asks of the auth service, as `{kind: 'system', role: 'node', hostId}`. */
export type NodeAuth = SessionAuth &
  Pick<
    AuthApi,
    | 'trustedAuthorities'
    | 'decide'
    | 'checkSessionMfa'
    | 'watchLocks'
    | 'issueNodeHostCertificate'
    | 'heartbeat'
    | 'permitJoin'
  >

/** What programs are told about their session. */
export interface SessionEnvironment {
  account: Account
  /** What the client asked for, checked. */
  wished: ReadonlyMap<string, string>
  sid: string
  user: string
  /** `ip:port` of both ends. */
  remoteAddress: string
  localAddress: string
  agentSocket?: string
  /** What was asked for where the certificate forces another command. */
  originalCommand?: string
}

/** The operating system under the node. */
export interface NodeSystem {
  /** @throws not_found, access_denied, unavailable */
  account(login: string): Promise<Account>
  environment(session: SessionEnvironment): Promise<Record<string, string>>
  start(spec: ProcessSpec): Promise<NodeProcess>
  /** A socket on this host that leads to the client's agent. */
  openAgent(account: Account, connect: () => Promise<Channel>): Promise<AgentSocket>
}

/** What is the same for every connection to a node. */
export interface NodeSettings extends DoorSettings {
  auth: NodeAuth
  guard: ConnectionGuard
  /** The locks in force. */
  locks: Pick<LockWatch, 'check' | 'watch'>
  hub: Pick<SessionHub, 'host' | 'find'>
  system: NodeSystem
  hostId: string
  nodename: string
  clusterName: string
  /** Of this host, as of now. */
  labels(): Record<string, string>
  /** How the cluster records, as last heard. */
  recording(): Ping['recording']
  hostIdentity(): Promise<HostIdentity>
  /** Public blobs of the cluster's authorities, as last heard. */
  authorities(): Promise<{user: readonly Buffer[]; host: readonly Buffer[]}>
  sessionId: () => string
  log: Log
}

/** A client that may have the login it asked for. */
export interface Admitted extends AdmittedClient {
  /** Of the cluster, as of the login: what a forwarder's proof is checked by. */
  hostAuthorities: readonly Buffer[]
}
