import {isIPv6} from 'node:net'
import {problem} from '../errors/index.js'
import {type Address, formatAddress, splitAddress} from '../names/index.js'

/** Web port of a proxy that is named without one. */
const defaultWebPort = 3080

/** A proxy as its user names it. */
export interface ProxyAddress {
  /** Name or IP literal; IPv6 without brackets. */
  host: string
  webPort: number
  /** Absent: the proxy's web service says where SSH listens. */
  sshPort?: number
}

/**
 * Reads `host`, `host:web` and `host:web,ssh`; an IPv6 literal stands in brackets when a port follows. A pasted
 * `https://host:web/…` is taken for what it means.
 * @throws invalid_input
 */
export function parseProxyAddress(text: string): ProxyAddress {
  const url = /^https:\/\/([^/?#]+)(?:[/?#].*)?$/i.exec(text.trim())
  const address = url?.[1] ?? text.trim()
  const [, bracketed, plain, web, ssh] =
    /^(?:\[([0-9a-f:.%]+)\]|([^\s:,[\]/@]+))(?::(\d*))?(?:,(\d+))?$/i.exec(address) ?? []
  const host = isIPv6(address) ? address : (bracketed ?? plain)
  if (host === undefined || (bracketed !== undefined && !isIPv6(bracketed))) throw notAnAddress(text)
  const fallback = url ? 443 : defaultWebPort
  return {
    host: host.toLowerCase(),
    webPort: web ? port(web, text) : fallback,
    ...(ssh === undefined ? {} : {sshPort: port(ssh, text)}),
  }
}

/** Reads `host:port`, `[v6]:port` as a service prints its address. @throws protocol_error */
export function parseHostPort(text: string): Address {
  const address = splitAddress(text)
  if (address) return address
  throw problem('protocol_error', `${JSON.stringify(text.slice(0, 100))} is not an address and a port`)
}

/** The address as `--proxy` takes it. */
export const formatProxyAddress = ({host, webPort}: ProxyAddress): string =>
  formatAddress({host, port: webPort})

/** A listening address is no place to connect to: there the host that the user named stands in. */
export const reachable = ({host, port}: Address, named: string): Address =>
  ['0.0.0.0', '::', '*'].includes(host) ? {host: named, port} : {host, port}

function port(digits: string, text: string): number {
  const number = Number(digits)
  if (number < 1 || number > 65_535) throw notAnAddress(text)
  return number
}

const notAnAddress = (text: string) =>
  problem('invalid_input', `${JSON.stringify(text.slice(0, 200))} is not the address of a proxy`, {
    hint: 'give it as host, host:web-port or host:web-port,ssh-port',
  })
