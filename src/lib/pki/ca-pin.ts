import {createHash, X509Certificate} from 'node:crypto'
import {problem} from '../errors/index.js'

// A pin names an authority by its public key: `sha256:` and the hex SHA-256 of its SubjectPublicKeyInfo (RFC 7469 §2.4
// takes the same bytes).

/** The pin of the authority that this certificate, PEM or DER, is of. */
export const authorityPin = (certificate: string | Buffer): string => pinOf(new X509Certificate(certificate))

const pinOf = ({publicKey}: X509Certificate): string =>
  `sha256:${createHash('sha256')
    .update(publicKey.export({type: 'spki', format: 'der'}))
    .digest('hex')}`

/** While authorities are rotated there are two; nobody has more than a few. */
const maxPins = 16

/**
 * Pins as people give them, several of them apart by commas.
 * @throws invalid_input
 */
export function parsePins(text: string): string[] {
  const pins = text
    .split(',')
    .map(pin => pin.trim().toLowerCase())
    .filter(pin => pin !== '')
  const wrong = pins.find(pin => !/^sha256:[0-9a-f]{64}$/.test(pin))
  if (wrong !== undefined || pins.length === 0 || pins.length > maxPins)
    throw problem(
      'invalid_input',
      `${JSON.stringify((wrong ?? text).slice(0, 80))} is no pin of an authority`,
      {
        hint: 'use sha256: and 64 hexadecimal digits, as `sallyport nodes add` prints them',
      },
    )
  return [...new Set(pins)]
}

/**
 * Of the certificates that a server shows, leaf first, the authority that a pin names and that signed the leaf. Dates and
 * purposes are left to TLS, which is spoken with this authority alone after that. Pure.
 * @param chain DER
 */
export function pinnedAuthority(chain: readonly Buffer[], pins: readonly string[]): Buffer | undefined {
  const [first, ...rest] = chain
  if (!first) return undefined
  const leaf = new X509Certificate(first)
  return rest.find(der => {
    const authority = new X509Certificate(der)
    return pins.includes(pinOf(authority)) && leaf.checkIssued(authority) && leaf.verify(authority.publicKey)
  })
}
