import type {Address} from '../names/index.js'

export const roles = ['auth', 'proxy', 'node'] as const
export type Role = (typeof roles)[number]

export type SessionRecording = 'node' | 'proxy' | 'off' | 'node-sync' | 'proxy-sync'
export type Severity = 'debug' | 'info' | 'warn' | 'error'

/** Everything a service needs to know, with every default filled in. Durations are in milliseconds, 0 is never. */
export interface Config {
  nodename: string
  dataDir: string
  roles: Role[]
  /** The address others reach this machine by, where it cannot be guessed. */
  advertiseIp?: string
  logSeverity: Severity
  algorithms: {ciphers?: string[]; kex?: string[]; macs?: string[]}
  limits: {maxConnections: number}
  /** Bytes that recordings may take here while the auth service of another machine cannot have them. */
  spoolBytes: number
  auth: AuthConfig
  proxy: ProxyConfig
  node: NodeConfig
  /** Where the auth service is, for roles that run without it. */
  joining: JoiningConfig
  /** Do not verify the services of other machines. */
  insecure: boolean
  diagnostics?: Address
  /** Keys of the file that have no effect in this version. */
  inertKeys: string[]
  /** Algorithms of the file that there are none of, as `ciphers: aes128-cbc`. */
  unknownAlgorithms: string[]
  pidFile?: string
}

export interface AuthConfig {
  clusterName: string
  listen: Address
  sessionRecording: SessionRecording
  /** Whether a target must present a host certificate; false lets a plain host key pass. */
  proxyChecksHostKeys: boolean
  secondFactor: 'off' | 'otp'
  /** Every connection to a host asks for the second factor, whatever roles say. */
  requireSessionMfa: boolean
  keepAliveIntervalMs: number
  clientIdleTimeoutMs: number
  disconnectExpiredCert: boolean
  /** Join tokens that stay good. */
  staticTokens: {value: string; roles: ('proxy' | 'node' | 'openssh')[]}[]
  /** Recordings whose session ended so long ago are removed. */
  recordingRetentionMs: number
  /** Files of the audit log whose events came so long ago are removed. */
  auditRetentionMs: number
  /** What becomes of a name that several hosts have: refused, or the host that was heard of last. */
  routingStrategy: 'unambiguous_match' | 'most_recent'
}

export interface ProxyConfig {
  /** SSH. */
  listen: Address
  /** HTTPS. */
  webListen: Address
  tunnelListen: Address
  /** How users reach the web port; the first is used in links. Port 0: the port it listens on. */
  publicAddresses: Address[]
  /** How users reach the SSH port. */
  sshPublicAddresses: Address[]
  httpsKeyFile?: string
  httpsCertFile?: string
  /** CIDR blocks and name globs that unregistered targets may, or may not, be dialled at; denial wins. */
  dial: {allow: string[]; deny: string[]}
}

export interface JoiningConfig {
  /** Several are tried in turn. */
  authServers: Address[]
  /** Tunnel ports of proxies, to each of which the node keeps a tunnel open. */
  proxyServers: Address[]
  /** The token, or the absolute path of a file that holds it. */
  token?: string
  /** `sha256:…`; one is enough to be believed. */
  caPins: string[]
}

export interface NodeConfig {
  /** SSH. */
  listen: Address
  labels: Record<string, string>
  commandLabels: CommandLabel[]
  /** Read `~/.tsh/environment` of the login user. */
  permitUserEnv: boolean
}

/** A label whose value a program says, asked anew each period. */
export interface CommandLabel {
  name: string
  /** Program and arguments; no shell. */
  command: string[]
  periodMs: number
}
