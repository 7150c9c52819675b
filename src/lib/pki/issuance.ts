import {problem, SallyportError} from '../errors/index.js'
import {type CertificateKind, fingerprint, isPrincipal, publicKeyFromBlob} from '../sshcert/index.js'
import {readPublicKey} from '../sshcert/keys.js'

/** OpenSSH's own limit (SSHKEY_CERT_MAX_PRINCIPALS). */
export const maxPrincipals = 256
const maxKeyIdBytes = 256

/** Seconds a certificate may be valid from now on unless the caller sets another limit. */
export const defaultMaxTtlSeconds = {user: 30 * 3600, host: 10 * 365 * 24 * 3600} as const

/** Clocks of hosts may be behind by so much. */
export const backdatedSeconds = 60

/** What somebody asks to have certified. Times are Unix seconds, as in the certificate. */
export interface IssuanceRequest {
  kind: CertificateKind
  /** Plain public key blob. */
  publicKey: Buffer
  keyId: string
  principals: readonly string[]
  validAfter: bigint
  validBefore: bigint
}

export interface IssuanceLimits {
  /** Unix ms. */
  now: number
  /** Longest validity from now on. */
  maxTtlSeconds: number
  /** SSH blobs of the authorities' own keys. */
  authorities: readonly Buffer[]
}

/**
 * The last look at every certificate before it is signed, whoever decided that it may be: nothing that names nobody,
 * everybody or two at once, lasts for ever, or rests on a weak key. Pure.
 * @throws invalid_input
 */
export function checkIssuance(request: IssuanceRequest, limits: IssuanceLimits): void {
  checkKeyId(request.keyId)
  checkPrincipals(request.principals)
  checkValidity(request, limits)
  checkSubject(request, limits.authorities)
}

/** It ends up in logs and terminals: no control or direction characters, no line separators, no broken UTF-16. */
function checkKeyId(keyId: string): void {
  if (
    keyId === '' ||
    Buffer.byteLength(keyId) > maxKeyIdBytes ||
    /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/u.test(keyId)
  )
    throw problem('invalid_input', `a key id has 1 to ${maxKeyIdBytes} bytes and no control characters`)
}

function checkPrincipals(principals: readonly string[]): void {
  if (principals.length === 0) throw problem('invalid_input', 'a certificate needs at least one principal')
  if (principals.length > maxPrincipals)
    throw problem('invalid_input', `a certificate can name ${maxPrincipals} principals at most`)
  for (const name of principals) {
    if (isPrincipal(name)) continue
    throw problem('invalid_input', `${JSON.stringify(name.slice(0, 64))} cannot be a principal`, {
      hint: 'use an exact name of visible ASCII characters without comma, `*` and `?`',
    })
  }
}

function checkValidity(
  {kind, validAfter, validBefore}: IssuanceRequest,
  {now, maxTtlSeconds}: IssuanceLimits,
): void {
  const current = BigInt(Math.floor(now / 1000))
  if (validAfter < 0n || validBefore <= validAfter)
    throw problem('invalid_input', 'the validity of the certificate would end before it begins')
  if (validBefore <= current) throw problem('invalid_input', 'the certificate would have expired already')
  if (validBefore > current + BigInt(Math.floor(maxTtlSeconds)))
    throw problem('invalid_input', `a ${kind} certificate may last ${inWords(maxTtlSeconds)} at most`, {
      hint: 'ask for a shorter --ttl',
    })
}

const inWords = (seconds: number): string =>
  seconds > 72 * 3600 ? `${Math.floor(seconds / 86_400)} days` : `${Math.floor(seconds / 3600)} hours`

/**
 * Certificates in place of keys, weak, oversized and broken keys, and the keys that certificates are signed with. A
 * FIDO key is a person's; sshd has no use for one as a host key.
 */
function checkSubject({kind, publicKey}: IssuanceRequest, authorities: readonly Buffer[]): void {
  try {
    if (kind === 'host') publicKeyFromBlob(publicKey)
    else readPublicKey(publicKey)
  } catch (error) {
    if (!(error instanceof SallyportError) || error.code === 'invalid_input') throw error
    throw problem('invalid_input', 'the public key is malformed', {cause: error})
  }
  if (authorities.some(authority => authority.equals(publicKey)))
    throw problem(
      'invalid_input',
      `${fingerprint(publicKey)} is a key of an authority and cannot be certified`,
    )
}
