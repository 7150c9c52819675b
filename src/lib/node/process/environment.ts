import {isUtf8} from 'node:buffer'
import type {Address} from '../../names/index.js'
import {mayPassEnvironment} from '../../session/index.js'
import {WireReader} from '../../sshcert/index.js'
import type {Account} from './types.js'

/** Far above what clients send (LANG, LC_*, a handful for editors), far below what a host minds. */
const maxClientVariables = 256
const maxClientBytes = 64 * 1024
/** Lines that `~/.tsh/environment` may have. */
const maxFileLines = 1000

const rootPath = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'
const userPath = '/usr/local/bin:/usr/bin:/bin:/usr/games'

/** What the session tells its programs about itself; nobody else does. */
const reserved = /^(SSH_|(USER|LOGNAME|HOME|SHELL)$)/
/** Every session runs in the user's shell: what changes how shells start may not come from outside. */
const changesShell = /^(BASH_|(ENV|SHELLOPTS|BASHOPTS|PS4|IFS)$)/
const changesLoading = /^(LD_|DYLD_|NODE_OPTIONS$)/
const variableName = /^[A-Za-z_][A-Za-z0-9_]*$/

type Variables = ReadonlyMap<string, string>

export interface ClientEnvironment {
  /** Takes in one `env` request (RFC 4254 §6.4); says whether it was accepted. @throws protocol_error where malformed */
  add(request: Buffer): boolean
  variables: Variables
}

/** Collects the variables that a client asks for, within bounds, without those that a client has no say in. */
export function clientEnvironment(): ClientEnvironment {
  const variables = new Map<string, string>()
  let bytes = 0
  return {
    variables,
    add(request) {
      if (!mayPassEnvironment(request) || bytes + request.length > maxClientBytes) return false
      const reader = new WireReader(request)
      const name = reader.string().toString('latin1')
      const value = reader.string()
      reader.end()
      if (reserved.test(name) || changesShell.test(name) || !isUtf8(value) || value.includes(0)) return false
      if (!variables.has(name) && variables.size >= maxClientVariables) return false
      bytes += request.length
      variables.set(name, value.toString('utf8'))
      return true
    },
  }
}

/**
 * Reads `~/.tsh/environment`: `NAME=value` a line, the value taken literally; empty lines and lines that begin with #
 * count for nothing, as do lines that say nothing sensible, and all from line 1001 on.
 */
export function parseEnvironmentFile(text: string): Map<string, string> {
  const variables = new Map<string, string>()
  for (const line of text.split('\n', maxFileLines)) {
    const content = line.trimStart().replace(/\r$/, '')
    const at = content.indexOf('=')
    const name = content.slice(0, Math.max(at, 0))
    if (!variableName.test(name) || content.includes('\0')) continue
    if (!reserved.test(name) && !changesLoading.test(name)) variables.set(name, content.slice(at + 1))
  }
  return variables
}

export interface EnvironmentFacts {
  account: Account
  /** The session's ID, the user of the cluster, the node's UUID, the cluster. */
  session: {id: string; user: string; hostId: string; cluster: string}
  /** Addresses without brackets. Absent where the client came through a tunnel that hides them. */
  connection?: {client: Address; server: Address}
  client: Variables
  /** Of `~/.tsh/environment`, where the node permits it. */
  file?: Variables
  /** Path of the socket of the forwarded agent. */
  agentSocket?: string
}

/**
 * The environment of a session's programs. Later ones win: what the client asked for, what the account is, the user's
 * own file, what the session says of itself. TERM and SSH_TTY come with the terminal.
 */
export function processEnvironment(facts: EnvironmentFacts): Record<string, string> {
  const {account, session, connection, agentSocket} = facts
  return {
    ...Object.fromEntries(facts.client),
    USER: account.name,
    LOGNAME: account.name,
    HOME: account.home,
    SHELL: account.shell,
    MAIL: `/var/mail/${account.name}`,
    PATH: account.uid === 0 ? rootPath : userPath,
    ...Object.fromEntries(facts.file ?? []),
    ...(connection && connectionVariables(connection)),
    SSH_SESSION_ID: session.id,
    ...prefixed('SSH_TELEPORT_', session),
    ...prefixed('SSH_SALLYPORT_', session),
    ...(agentSocket !== undefined && {SSH_AUTH_SOCK: agentSocket}),
  }
}

const connectionVariables = ({
  client,
  server,
}: NonNullable<EnvironmentFacts['connection']>): Record<string, string> => ({
  SSH_CLIENT: `${client.host} ${client.port} ${server.port}`,
  SSH_CONNECTION: `${client.host} ${client.port} ${server.host} ${server.port}`,
})

const prefixed = (
  prefix: string,
  {user, hostId, cluster}: EnvironmentFacts['session'],
): Record<string, string> => ({
  [`${prefix}USER`]: user,
  [`${prefix}HOST_UUID`]: hostId,
  [`${prefix}CLUSTER_NAME`]: cluster,
})
