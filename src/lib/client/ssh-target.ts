import {isIP} from 'node:net'
import {userInfo} from 'node:os'
import {problem} from '../errors/index.js'

export interface SshTarget {
  login: string
  host: string
  port: number
}

const defaultPort = 22

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
  const login = options.login ?? (at > 0 ? text.slice(0, at) : userInfo().username)
  const address = text.slice(at + 1)
  const match = /^(?:\[([^\]]+)\]|([^:[\]]+))(?::(\d{1,5}))?$/.exec(address)
  const host = isIP(address) === 6 ? address : (match?.[1] ?? match?.[2])
  const port = options.port ?? (isIP(address) === 6 || !match?.[3] ? defaultPort : Number(match[3]))
  if (host === undefined || host.startsWith('-') || login.startsWith('-') || port < 1 || port > 65_535) {
    throw problem('invalid_input', `${JSON.stringify(text.slice(0, 200))} is not a host`, {
      hint: 'give it as user@host or user@host:port',
    })
  }
  return {login, host: host.toLowerCase(), port}
}
