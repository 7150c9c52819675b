import {isIP} from 'node:net'
import {problem} from '../../errors/index.js'
import {parseLabels} from '../../names/index.js'
import {ownLogin} from '../own-login.js'

/** Every host with these labels. */
export interface LabelTarget {
  login: string
  labels: Record<string, string>
}

export interface SshTarget {
  login: string
  host: string
  /** Absent where nobody named one: then it is the one the host has in the inventory, or 22. */
  port?: number
}

/** Reads `[login@]env=prod,team=db`; undefined for a target that names a host. @throws usage, invalid_input */
export function parseLabelTarget(
  text: string,
  options: {login?: string | undefined; port?: number | undefined},
): LabelTarget | undefined {
  if (!text.includes('=')) return undefined
  const at = text.indexOf('@')
  const named = at === -1 || at > text.indexOf('=') ? undefined : text.slice(0, at)
  const labels = parseLabels(named === undefined ? text : text.slice(at + 1))
  if (options.port !== undefined)
    throw problem('usage', 'hosts that are chosen by labels have their own ports', {hint: 'leave out --port'})
  const login = options.login ?? (named || ownLogin())
  if (!login.startsWith('-')) return {login, labels}
  throw problem('invalid_input', `${JSON.stringify(login.slice(0, 80))} is not a login`)
}

/**
 * Reads `[login@]host[:port]` as ssh users write it; `-l` and `-p` win over what the target says. The login is this
 * machine's user where none is named, as with ssh.
 * @throws invalid_input
 */
export function parseSshTarget(
  text: string,
  options: {login?: string | undefined; port?: number | undefined},
): SshTarget {
  const at = text.lastIndexOf('@')
  const login = options.login ?? (at > 0 ? text.slice(0, at) : ownLogin())
  const address = text.slice(at + 1)
  const match = /^(?:\[([^\]]+)\]|([^:[\]]+))(?::(\d{1,5}))?$/.exec(address)
  const host = isIP(address) === 6 ? address : (match?.[1] ?? match?.[2])
  const port = options.port ?? (isIP(address) === 6 || !match?.[3] ? undefined : Number(match[3]))
  const isPort = port === undefined || (port >= 1 && port <= 65_535)
  if (host === undefined || host.startsWith('-') || login.startsWith('-') || !isPort) {
    throw problem('invalid_input', `${JSON.stringify(text.slice(0, 200))} is not a host`, {
      hint: 'give it as user@host or user@host:port',
    })
  }
  return {login, host: host.toLowerCase(), ...(port !== undefined && {port})}
}
