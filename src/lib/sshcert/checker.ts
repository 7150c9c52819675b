import {timingSafeEqual} from 'node:crypto'
import {asProblem, problem, type SallyportError} from '../errors/index.js'
import type {Certificate, CertificateKind} from './certificate.js'
import {readPublicKey} from './keys.js'
import {pinAllows} from './pin.js'
import {isPrincipal} from './principal.js'
import {verifySignature} from './signature.js'
import {sourceAddressAllows} from './source-address.js'

export interface CertificatePolicy {
  kind: CertificateKind
  /** Plain public key blobs of the authorities trusted for this kind. */
  authorities: readonly Buffer[]
  /** The login or host name that must be among the principals; absent: any, but there must be one. */
  principal?: string
  /** Unix milliseconds. */
  now: number
  /** Where whoever shows it comes from, for `source-address` and pins; absent: nobody can say. */
  remoteAddress?: string
  /** It is looked at, and not used: where it may be used from does not matter. */
  fromAnywhere?: true
}

/** Clocks that run behind by less than this may still use a fresh certificate; expiry is exact. */
const notBeforeSkewSeconds = 60
/** A certificate that starts in the future by less than this points at a wrong clock, not at an attack. */
const clockSkewHintSeconds = 24 * 3600

/** Critical options we enforce. Whoever accepts a certificate with force-command must run nothing else. */
const knownCriticalOptions = new Set(['force-command', 'source-address'])

const rejected = (why: string, hint?: string): SallyportError =>
  problem('certificate_rejected', `certificate rejected: ${why}`, hint === undefined ? {} : {hint})

/**
 * The one place that decides whether a certificate is believed (PROTOCOL.certkeys). Pure; returns normally or throws.
 * Possession of the private key is proven elsewhere.
 * @throws certificate_rejected, certificate_expired, clock_skew
 */
export function checkCertificate(certificate: Certificate, policy: CertificatePolicy): void {
  checkAuthority(certificate, policy)
  rejecting('its key', () => readPublicKey(certificate.publicKey))
  if (certificate.kind !== policy.kind)
    throw rejected(`it is for a ${certificate.kind}, not for a ${policy.kind}`)
  checkPrincipals(certificate.principals, policy)
  checkValidity(certificate, policy.now)
  checkCriticalOptions(certificate, policy)
  checkOrigin(certificate, policy)
}

function checkAuthority(certificate: Certificate, {authorities}: CertificatePolicy): void {
  const known = authorities.some(
    authority =>
      authority.length === certificate.authority.length && timingSafeEqual(authority, certificate.authority),
  )
  if (!known) throw rejected('it was signed by an unknown authority')
  const {authority, tbs, signature} = certificate
  const valid = rejecting('its authority', () => verifySignature(authority, tbs, signature))
  if (!valid) throw rejected('the signature of its authority is wrong')
}

/** What is wrong with a key is a reason to reject the certificate. */
function rejecting<Result>(what: string, check: () => Result): Result {
  try {
    return check()
  } catch (cause) {
    const why = `certificate rejected: ${what}: ${asProblem(cause).message}`
    throw problem('certificate_rejected', why, {cause})
  }
}

function checkPrincipals(principals: readonly string[], {principal}: CertificatePolicy): void {
  if (principals.length === 0) throw rejected('it names no principals')
  const odd = principals.find(name => !isPrincipal(name))
  if (odd !== undefined)
    throw rejected(`its principal ${JSON.stringify(odd.slice(0, 64))} is not an exact name`)
  if (principal !== undefined && !principals.includes(principal)) {
    const shown = principals.slice(0, 10).join(', ')
    throw rejected(`${JSON.stringify(principal)} is not among its principals (${shown})`)
  }
}

function checkValidity({validAfter, validBefore}: Certificate, now: number): void {
  const seconds = BigInt(Math.floor(now / 1000))
  if (validBefore <= validAfter) throw rejected('its validity ends before it begins')
  if (seconds >= validBefore) {
    throw problem('certificate_expired', `the certificate expired at ${isoTime(validBefore)}`, {
      hint: 'log in again',
    })
  }
  const early = validAfter - seconds
  if (early <= BigInt(notBeforeSkewSeconds)) return
  if (early > BigInt(clockSkewHintSeconds)) throw rejected(`it is not valid before ${isoTime(validAfter)}`)
  throw problem(
    'clock_skew',
    `the certificate is not valid until ${isoTime(validAfter)}, ${early} s from now`,
    {
      hint: 'set the clocks of both machines right',
    },
  )
}

const isoTime = (seconds: bigint): string =>
  seconds > 8_640_000_000_000n ? 'forever' : new Date(Number(seconds) * 1000).toISOString()

function checkCriticalOptions(certificate: Certificate, policy: CertificatePolicy): void {
  if (policy.kind === 'host' && certificate.criticalOptions.size > 0)
    throw rejected('a host certificate has critical options')
  for (const name of certificate.criticalOptions.keys()) {
    if (!knownCriticalOptions.has(name))
      throw rejected(`its critical option ${JSON.stringify(name.slice(0, 64))} is not known here`)
  }
  // An empty command is easily taken for none.
  if (certificate.criticalOptions.get('force-command') === '') throw rejected('its force-command is empty')
}

function checkOrigin(certificate: Certificate, {remoteAddress, fromAnywhere}: CertificatePolicy): void {
  if (fromAnywhere || certificate.kind === 'host') return
  const here = remoteAddress ?? 'an unknown address'
  const sources = certificate.criticalOptions.get('source-address')
  if (sources !== undefined && !sourceAddressAllows(sources, remoteAddress))
    throw rejected(`it may not be used from ${here}`)
  if (!pinAllows(certificate, remoteAddress))
    throw rejected(
      `it is good from the address of its login alone, and this connection comes from ${here}`,
      'log in again from where you are',
    )
}
