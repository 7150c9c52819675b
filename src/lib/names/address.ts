import {isIPv6} from 'node:net'

/** Where something listens, port 0 for any that is free, or is reached. */
export interface Address {
  /** A name or an IP literal; IPv6 without brackets. */
  host: string
  port: number
}

/** `host:port` or `[ipv6]:port` → its parts; undefined for anything else, port 0 included. */
export function splitAddress(address: string): Address | undefined {
  const [, literal, name, digits] =
    /^(?:\[([0-9a-fA-F:.]+)\]|([^\s:[\]/@]{1,253})):(\d{1,5})$/.exec(address) ?? []
  const [host, port] = [literal ?? name, Number(digits)]
  if (host === undefined || port < 1 || port > 65_535) return undefined
  return literal === undefined || isIPv6(literal) ? {host, port} : undefined
}

/** `host:port`, with brackets around an IPv6 literal. The reverse of splitAddress. */
export const formatAddress = ({host, port}: Address): string =>
  host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`

/** The host of what is known to be `host:port` or `[ipv6]:port`; an address without a port stays as it is. */
export const hostOfAddress = (address: string): string =>
  address.replace(/:\d+$/, '').replace(/^\[(.*)\]$/, '$1')
