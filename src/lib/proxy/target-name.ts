import {isIP} from 'node:net'
import {problem, type SallyportError} from '../errors/index.js'

/** A host as a client named it, brought into the one form that policy, certificates and DNS all see. */
export interface TargetName {
  /** Lower-case ASCII name without trailing dot, or an IP address in its canonical spelling. */
  host: string
  /** 0: whichever the host has in the inventory. */
  port: number
  /** Of a target that is not in the inventory, where the client named no port. */
  portIfUnregistered?: number
  /** The cluster behind an `@`, where one was given. */
  cluster?: string
}

/** Longest DNS name, and a length no address needs. */
const maxHostLength = 253
const sshPort = 22

const invalid = (why: string): SallyportError =>
  problem('invalid_input', `this is not a target: ${why}`, {hint: 'give it as host:port'})

/**
 * Parses the target of a `proxy:` subsystem: `host:port`, `host:port@cluster`, `host:port@namespace@cluster`, with
 * IPv6 addresses in brackets. Port 0 is whichever the host has in the inventory; without a port it is that one as well,
 * and 22 for all other targets.
 * @throws invalid_input
 */
export function parseProxySubsystem(target: string): TargetName {
  const [address = '', ...rest] = target.split('@')
  if (rest.length > 2) throw invalid('it has too many @')
  const match = /^(?:\[([^\]]*)\]|([^:[\]]+))(?::(\d{1,5}))?$/.exec(address)
  if (!match) throw invalid('it has no host and port')
  const cluster = rest.at(-1)
  if (cluster !== undefined && !/^[A-Za-z0-9._-]{1,253}$/.test(cluster))
    throw invalid('its cluster name is not valid')
  const [host, port] = [match[1] ?? match[2] ?? '', Number(match[3] ?? 0)]
  const name = namedTarget(host, port)
  return {
    ...name,
    ...(match[3] === undefined && {portIfUnregistered: sshPort}),
    ...(cluster !== undefined && {cluster}),
  }
}

/** As `canonicalTarget`, with 0 for whichever port the host has in the inventory. @throws invalid_input */
export const namedTarget = (host: string, port: number): TargetName =>
  port === 0 ? {host: canonicalHost(host), port} : canonicalTarget(host, port)

/**
 * Brings host and port into canonical form before any decision is made on them: `0x7f.1` is 127.0.0.1, `EXAMPLE.com.`
 * is example.com, IDN is punycode.
 * @throws invalid_input
 */
export function canonicalTarget(host: string, port: number): TargetName {
  if (!Number.isInteger(port) || port < 1 || port > 65_535) throw invalid('the port must be from 1 to 65535')
  return {host: canonicalHost(host), port}
}

function canonicalHost(host: string): string {
  if (host === '' || host.length > maxHostLength) throw invalid('the host name is empty or too long')
  const version = isIP(host)
  // A zone id would name an interface of the proxy's machine.
  if (version === 6 && host.includes('%')) throw invalid('zone ids are not accepted')
  const parsed = parseHost(version === 6 ? `[${host}]` : host.replace(/\.$/, ''))
  if (!parsed || (isIP(parsed) === 0 && !isDnsName(parsed))) throw invalid('the host name is not valid')
  return unmapped(parsed)
}

/** An IPv4 address in IPv6 clothes is the IPv4 address; the host parser spells it in hexadecimal. */
function unmapped(host: string): string {
  const [, high, low] = /^::ffff:([0-9a-f]{1,4}):([0-9a-f]{1,4})$/.exec(host) ?? []
  if (high === undefined || low === undefined) return host
  const bytes = Buffer.from(high.padStart(4, '0') + low.padStart(4, '0'), 'hex')
  return bytes.join('.')
}

/** The WHATWG host parser: the most widely tested reading of IP address spellings and IDN there is. */
function parseHost(host: string): string | undefined {
  // It would drop control characters at the ends, and take what belongs to other parts of a URL for just that.
  if (/[\s\p{Cc}/?#@\\:%]/u.test(host.replace(/^\[[0-9A-Fa-f:.]+\]$/, ''))) return undefined
  try {
    return new URL(`http://${host}`).hostname.replace(/^\[|\]$/g, '')
  } catch {
    // The parser's only way to say that this is no host.
    return undefined
  }
}

const isDnsName = (name: string): boolean =>
  name.split('.').every(label => /^[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?$/.test(label))
