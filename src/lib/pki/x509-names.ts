import {X509Certificate} from 'node:crypto'
import {isIP} from 'node:net'
import {problem} from '../errors/index.js'

/** Labels of letters, digits, dashes and underscores, 253 characters at most (RFC 1123). */
const hostName =
  /^(?=.{1,253}$)[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?)*$/

/** The one spelling of a host name or address that certificates hold; undefined for what they cannot hold. */
function canonicalName(name: string): string | undefined {
  if (isIP(name) === 6) {
    // A zone names an interface of one machine; it has no place in a certificate.
    return name.includes('%') ? undefined : new URL(`http://[${name}]`).hostname.slice(1, -1)
  }
  if (isIP(name) === 4) return name
  const lower = name.toLowerCase().replace(/\.$/, '')
  return hostName.test(lower) ? lower : undefined
}

/** Of `names` those that a certificate can hold, in their canonical spelling, each once. */
export const certifiableNames = (names: readonly string[]): string[] => [
  ...new Set(names.flatMap(name => canonicalName(name) ?? [])),
]

export type AltName = {type: 2; value: string} | {type: 7; ip: string}

/**
 * The subject alternative names of `names` as node-forge takes them: DNS names and IP addresses (RFC 5280 §4.2.1.6).
 * @throws invalid_input
 */
export function subjectAltNames(names: readonly string[]): AltName[] {
  if (names.length === 0) throw problem('invalid_input', 'a certificate for HTTPS needs at least one name')
  return names.map(name => {
    const canonical = canonicalName(name)
    if (canonical === undefined)
      throw problem('invalid_input', `${JSON.stringify(name.slice(0, 64))} cannot be a name in a certificate`)
    return isIP(canonical) === 0 ? {type: 2, value: canonical} : {type: 7, ip: canonical}
  })
}

export interface CertificateSummary {
  /** Unix ms. */
  notBefore: number
  /** Unix ms. */
  notAfter: number
  /** Its DNS names and IP addresses, in the spelling of `certifiableNames`. */
  names: string[]
}

/**
 * What a PEM certificate says of its time and names; nothing about whether to believe it.
 * @throws invalid_input
 */
export function readCertificate(pem: string): CertificateSummary {
  const {validFrom, validTo, subjectAltName = ''} = parse(pem)
  // Names with characters of their own meaning come quoted, as JSON strings: none of them is a name to us.
  const entries = subjectAltName.match(/[A-Za-z ]+:("(?:[^"\\]|\\.)*"|[^,"]*)/g) ?? []
  const names = entries.map(entry => /^ ?(?:DNS|IP Address):(.*)$/.exec(entry)?.[1] ?? '')
  return {notBefore: Date.parse(validFrom), notAfter: Date.parse(validTo), names: certifiableNames(names)}
}

function parse(pem: string): X509Certificate {
  try {
    return new X509Certificate(pem)
  } catch (cause) {
    throw problem('invalid_input', 'this is not a PEM certificate', {cause})
  }
}
