import {isIP} from 'node:net'
import {join} from 'node:path'
import {problem} from '../errors/index.js'
import type {Address} from '../names/index.js'
import {chosenAlgorithms, unknownAlgorithms} from './algorithms.js'
import {inertKeysIn} from './inert.js'
import {joiningConfig} from './joining.js'
import {type FileConfig, ports} from './schema.js'
import type {AuthConfig, Config, NodeConfig, ProxyConfig, Role} from './types.js'
import {parseAddress} from './values.js'

/** What the command line of `start` says; each flag wins over the file. */
export interface StartFlags {
  roles?: Role[] | undefined
  dataDir?: string | undefined
  nodename?: string | undefined
  listenIp?: string | undefined
  advertiseIp?: string | undefined
  /** `[ip]:port` */
  diagAddr?: string | undefined
  pidFile?: string | undefined
  insecure?: boolean | undefined
  debug?: boolean | undefined
  /** `host:port,…` */
  authServer?: string | undefined
  proxyServer?: string | undefined
  /** A join token, or the path of a file with it. */
  token?: string | undefined
  /** `sha256:…,…` */
  caPin?: string | undefined
  /** `name=value,…`, as --labels says it; each wins over the file's label of its name. */
  labels?: Record<string, string> | undefined
  permitUserEnv?: boolean | undefined
}

/** What a default may depend on. */
export interface Surroundings {
  hostname: string
  home: string
  isRoot: boolean
  /** Absolute, or it does not count. */
  xdgDataHome?: string
}

/**
 * Where state is kept unless somebody says otherwise: /var/lib/sallyport for root, else a directory of the user's own,
 * apart from ~/.sallyport, which holds a client's logins and may be emptied at any time.
 */
export function defaultDataDir({isRoot, home, xdgDataHome}: Surroundings): string {
  if (isRoot) return '/var/lib/sallyport'
  return join(xdgDataHome?.startsWith('/') ? xdgDataHome : join(home, '.local', 'share'), 'sallyport')
}

export const dataDirOf = (
  file: FileConfig,
  flags: Pick<StartFlags, 'dataDir'>,
  around: Surroundings,
): string => flags.dataDir ?? commonOf(file).data_dir ?? defaultDataDir(around)

/** Flags over file over defaults. Throws `config_invalid` for combinations that cannot work. */
export function resolveConfig(file: FileConfig, flags: StartFlags, around: Surroundings): Config {
  const common = commonOf(file)
  const nodename = flags.nodename ?? common.nodename ?? around.hostname
  const advertiseIp = flags.advertiseIp ?? common.advertise_ip
  const pidFile = flags.pidFile
  return {
    nodename,
    dataDir: dataDirOf(file, flags, around),
    roles: rolesOf(file, flags),
    ...(advertiseIp === undefined ? {} : {advertiseIp: ip(advertiseIp, '--advertise-ip')}),
    logSeverity: flags.debug ? 'debug' : (common.log?.severity ?? 'info'),
    algorithms: chosenAlgorithms(common),
    limits: {maxConnections: common.connection_limits?.max_connections ?? 15_000},
    spoolBytes: common.spool_limit ?? gibibyte,
    auth: authConfig(file, flags, clusterName(around.hostname)),
    proxy: proxyConfig(file, flags),
    node: nodeConfig(file, flags),
    joining: joiningConfig(common, flags),
    insecure: flags.insecure ?? false,
    inertKeys: inertKeysIn(file),
    unknownAlgorithms: unknownAlgorithms(common),
    ...(flags.diagAddr === undefined ? {} : {diagnostics: diagnostics(flags.diagAddr)}),
    ...(pidFile === undefined ? {} : {pidFile}),
  }
}

const commonOf = (file: FileConfig): NonNullable<FileConfig['teleport']> =>
  file.sallyport ?? file.teleport ?? {}

const minute = 60_000
const gibibyte = 2 ** 30

function authConfig(file: FileConfig, flags: StartFlags, hostname: string): AuthConfig {
  const auth = file.auth_service ?? {}
  return {
    clusterName: auth.cluster_name ?? hostname,
    listen: listen(auth.listen_addr, ports.auth, flags),
    sessionRecording: auth.session_recording ?? 'proxy',
    proxyChecksHostKeys: auth.proxy_checks_host_keys ?? true,
    secondFactor: auth.authentication?.second_factor ?? 'otp',
    requireSessionMfa: sessionMfa(auth.authentication),
    keepAliveIntervalMs: auth.keep_alive_interval ?? 5 * minute,
    clientIdleTimeoutMs: auth.client_idle_timeout ?? 0,
    disconnectExpiredCert: auth.disconnect_expired_cert ?? false,
    staticTokens: auth.tokens ?? [],
    recordingRetentionMs: auth.recording_retention ?? 0,
    auditRetentionMs: auth.audit_retention ?? 0,
    routingStrategy: auth.routing_strategy ?? 'unambiguous_match',
  }
}

function sessionMfa({
  require_session_mfa: required = false,
  second_factor: factor,
}: NonNullable<FileConfig['auth_service']>['authentication'] = {}): boolean {
  if (required && factor === 'off')
    throw problem('config_invalid', 'require_session_mfa wants what second_factor: off gives nobody', {
      hint: 'set second_factor: otp',
    })
  return required
}

function proxyConfig(file: FileConfig, flags: StartFlags): ProxyConfig {
  const proxy = file.proxy_service ?? {}
  if ((proxy.https_key_file === undefined) !== (proxy.https_cert_file === undefined))
    throw problem('config_invalid', 'proxy_service has one of https_key_file and https_cert_file', {
      hint: 'name both, or neither for a certificate of its own making',
    })
  return {
    listen: listen(proxy.listen_addr, ports.proxy, flags),
    webListen: listen(proxy.web_listen_addr, ports.web, flags),
    tunnelListen: listen(proxy.tunnel_listen_addr, ports.tunnel, flags),
    publicAddresses: proxy.public_addr ?? [],
    sshPublicAddresses: proxy.ssh_public_addr ?? [],
    ...(proxy.https_key_file === undefined ? {} : {httpsKeyFile: proxy.https_key_file}),
    ...(proxy.https_cert_file === undefined ? {} : {httpsCertFile: proxy.https_cert_file}),
    dial: {allow: proxy.dial?.allow ?? [], deny: proxy.dial?.deny ?? []},
  }
}

function nodeConfig(file: FileConfig, flags: StartFlags): NodeConfig {
  const node = file.ssh_service ?? {}
  const labels = {...node.labels, ...flags.labels}
  const commandLabels = (node.commands ?? []).map(({name, command, period}) => ({
    name,
    command,
    periodMs: period,
  }))
  const twice = commandLabels.find(
    ({name}, index) =>
      Object.hasOwn(labels, name) || commandLabels.findIndex(other => other.name === name) !== index,
  )
  if (twice)
    throw problem('config_invalid', `ssh_service has two labels by the name ${twice.name}`, {
      hint: 'a label is fixed or from one command',
    })
  return {
    listen: listen(node.listen_addr, ports.node, flags),
    ...{labels, commandLabels},
    permitUserEnv: flags.permitUserEnv ?? node.permit_user_env ?? false,
  }
}

function listen(address: Address | undefined, defaultPort: number, {listenIp}: StartFlags): Address {
  const host = listenIp === undefined ? (address?.host ?? '0.0.0.0') : ip(listenIp, '--listen-ip')
  return {host, port: address?.port ?? defaultPort}
}

function rolesOf(file: FileConfig, flags: StartFlags): Role[] {
  const enabled = (section: {enabled?: boolean | undefined} | null | undefined, fallback: boolean): boolean =>
    section?.enabled ?? (section !== undefined || fallback)
  const roles: Role[] = flags.roles ?? [
    ...(enabled(file.auth_service, true) ? ['auth' as const] : []),
    ...(enabled(file.proxy_service, true) ? ['proxy' as const] : []),
    ...(enabled(file.ssh_service, false) ? ['node' as const] : []),
  ]
  if (roles.length === 0)
    throw problem('config_invalid', 'every service is turned off', {
      hint: 'enable one, or name it with --roles',
    })
  return [...new Set(roles)]
}

/** `auth,proxy` → roles. Throws `usage` for a word that is none. */
export function parseRoles(text: string): Role[] {
  return text.split(',').map(word => {
    const role = word.trim() === 'ssh' ? 'node' : word.trim()
    if (role === 'auth' || role === 'proxy' || role === 'node') return role
    throw problem('usage', `there is no role "${role}"`, {
      hint: 'roles are auth, proxy and node, as in --roles=auth,proxy',
    })
  })
}

const ip = (value: string, flag: string): string => {
  if (isIP(value) !== 0) return value
  throw problem('usage', `${flag} expects an IP address, not "${value}"`, {hint: `as in ${flag}=127.0.0.1`})
}

function diagnostics(value: string): Address {
  const address = parseAddress(value)
  if (address) return value.startsWith(':') ? {...address, host: '127.0.0.1'} : address
  throw problem('usage', `--diag-addr expects host:port, not "${value}"`, {
    hint: 'as in --diag-addr=127.0.0.1:3000',
  })
}

/** A host name as a cluster name; machines with an unusable one are all called `cluster`. */
const clusterName = (hostname: string): string =>
  /^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$/i.test(hostname) ? hostname.toLowerCase() : 'cluster'
