import {BlockList, isIP} from 'node:net'

const blocks = new BlockList()
blocks.addSubnet('127.0.0.0', 8, 'ipv4')
blocks.addAddress('::1', 'ipv6')

/**
 * Whether this is an address that every machine has for itself (RFC 1122 §3.2.1.3, RFC 4291 §2.5.3), in IPv6 clothes as
 * well. No name is one, whatever it begins with: `127.example.com` may lead anywhere.
 */
export function isLoopbackAddress(host: string): boolean {
  const version = isIP(host)
  return version !== 0 && blocks.check(host.replace(/%.*$/, ''), version === 6 ? 'ipv6' : 'ipv4')
}

/** The same, or the one name that everybody's resolver takes for it. */
export const isLoopback = (host: string): boolean => host === 'localhost' || isLoopbackAddress(host)
