import {problem} from '../errors/index.js'
import {blobType, certificateTypes, isPrincipal, publicKeyFromBlob} from '../sshcert/index.js'

/** OpenSSH's own limit (SSHKEY_CERT_MAX_PRINCIPALS). */
export const maxPrincipals = 256
export const maxKeyIdBytes = 256

/** Seconds a certificate may be valid from now on, whoever asks. */
export const maxTtlSeconds = {user: 30 * 3600, host: 10 * 366 * 24 * 3600} as const

/** Clocks of hosts may be behind by so much. */
export const backdatedSeconds = 60

export interface IssuanceRequest {
  kind: 'user' | 'host'
  /** Plain public key blob. */
  publicKey: Buffer
  keyId: string
  principals: readonly string[]
  /** Unix seconds, exclusive. */
  validBefore: bigint
}

/**
 * Refuses what no authority of ours signs, whoever asks: the last check before the key is used. Pure.
 * @param now Unix ms
 * @throws invalid_input, protocol_error
 */
export function checkIssuance(request: IssuanceRequest, now: number): void {
  checkSubject(request.publicKey)
  checkPrincipals(request.principals)
  checkKeyId(request.keyId)
  const limit = maxTtlSeconds[request.kind]
  const current = BigInt(Math.floor(now / 1000))
  if (request.validBefore <= current)
    throw problem('invalid_input', 'the certificate would have expired already')
  if (request.validBefore > current + BigInt(limit))
    throw problem(
      'invalid_input',
      `a ${request.kind} certificate may last ${Math.floor(limit / 3600)} hours at most`,
      {hint: 'ask for a shorter --ttl'},
    )
}

/** A certificate blob would be signed as if it were a key; weak, oversized and broken keys are refused as well. */
function checkSubject(blob: Buffer): void {
  const type = blobType(blob)
  if (type in certificateTypes)
    throw problem('invalid_input', 'a certificate was given where a public key is wanted', {
      hint: 'give the plain .pub file',
    })
  // A FIDO key may be certified; it is read by the issuer, only signing with it is another matter.
  if (!type.startsWith('sk-')) publicKeyFromBlob(blob)
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

function checkKeyId(keyId: string): void {
  if (keyId === '' || Buffer.byteLength(keyId) > maxKeyIdBytes || /\p{Cc}/u.test(keyId))
    throw problem('invalid_input', `a key id has 1 to ${maxKeyIdBytes} bytes and no control characters`)
}
