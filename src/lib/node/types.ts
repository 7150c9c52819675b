import type {Identity, SessionOptions} from '../access/types.js'
import type {AuditInput} from '../audit/event.js'
import type {AuthApi, Ping} from '../auth/contract.js'
import type {ConnectionGuard, LockWatch, Log, SessionAuth, SessionHub} from '../session/index.js'
import type {AlgorithmChoice, Channel, HostIdentity, SshConnection} from '../ssh/index.js'
import type {Certificate} from '../sshcert/index.js'
import type {Account, AgentSocket, NodeProcess, ProcessSpec} from './process/index.js'

/** What a node asks of the auth service, as `{kind: 'system', role: 'node', hostId}`. */
export type NodeAuth = SessionAuth &
  Pick<
    AuthApi,
    | 'ping'
    | 'trustedAuthorities'
    | 'decide'
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
export interface NodeSettings {
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
  algorithms?: AlgorithmChoice
  graceMilliseconds: number
  keepAliveMilliseconds: number
  /** Unix ms. */
  now: () => number
  sessionId: () => string
  /** Tells of somebody who was not let in; of many within a minute, how many. */
  report(input: AuditInput): void
  log: Log
}

/** Both ends of a TCP connection. */
export interface Peer {
  /** `ip:port` */
  remoteAddress: string
  localAddress: string
  /** The client's address alone, for source-address checks. */
  remoteIp: string
}

/** A client that may have the login it asked for. */
export interface Admitted {
  connection: SshConnection
  login: string
  identity: Identity
  certificate: Certificate
  /** What role and certificate both allow. */
  options: SessionOptions
  /** Of the cluster, as of the login: what a forwarder's proof is checked by. */
  hostAuthorities: readonly Buffer[]
}
