import type {Certificate} from './certificate.js'
import {canonicalAddress, sourceAddressAllows} from './source-address.js'

/**
 * Extension of a user certificate: the address that its owner logged in from, and the only one that it is good from. An
 * extension, which stock sshd passes over (PROTOCOL.certkeys), and not the critical option `source-address`: behind a
 * proxy sshd sees the proxy's address.
 */
const pinExtension = 'pin-source-ip@sallyport'

/**
 * The extension that pins a certificate to this address. An IPv4 address that IPv6 carries is pinned as what it is.
 * @returns undefined for what is no address that can be told again, such as one with a zone
 */
export function pinTo(address: string): readonly [name: string, value: string] | undefined {
  const canonical = canonicalAddress(address)
  return canonical === undefined ? undefined : [pinExtension, canonical]
}

export const isPinned = ({extensions}: Pick<Certificate, 'extensions'>): boolean =>
  extensions.has(pinExtension)

/** Whether a certificate is good from this address, for all that its pin says. Pure. */
export function pinAllows(
  {extensions}: Pick<Certificate, 'extensions'>,
  remoteAddress: string | undefined,
): boolean {
  const pinned = extensions.get(pinExtension)
  if (pinned === undefined) return true
  return canonicalAddress(pinned) === pinned && sourceAddressAllows(pinned, remoteAddress)
}
