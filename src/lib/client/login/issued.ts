import type {IssuedCertificate} from '../../auth/contract.js'
import {problem} from '../../errors/index.js'
import {checkCertificate, parseAuthorizedKey, parseCertificate} from '../../sshcert/index.js'

export interface VerifiedCertificate {
  blob: Buffer
  /** Plain public key blobs of the host authorities. */
  hostAuthorities: Buffer[]
}

/**
 * Believes an issued certificate only when it is what was asked for: well-formed and properly signed, for a user,
 * this user, this key, and valid now.
 * @param now Unix ms
 * @throws certificate_rejected, clock_skew, certificate_expired
 */
export function verifyIssued(
  issued: IssuedCertificate,
  expected: {user: string; publicKey: Buffer},
  now: number,
): VerifiedCertificate {
  const {blob} = parseAuthorizedKey(issued.certificate)
  const certificate = parseCertificate(blob)
  // Which authority is the right one is for the servers to say; here it has to have signed what it says it signed.
  checkCertificate(certificate, {
    kind: 'user',
    authorities: [certificate.authority],
    now,
    fromAnywhere: true,
  })
  if (!certificate.publicKey.equals(expected.publicKey)) throw unusable('is for another key')
  const sameUser = (name: string) => name.toLowerCase() === expected.user.toLowerCase()
  if (!sameUser(certificate.keyId) || issued.user !== certificate.keyId)
    throw unusable(`is for ${JSON.stringify(certificate.keyId.slice(0, 100))}`)
  const hostAuthorities = issued.hostAuthorities.map(line => parseAuthorizedKey(line).blob)
  if (hostAuthorities.some(authority => authority.equals(certificate.authority)))
    throw unusable('is signed by an authority for hosts')
  return {blob, hostAuthorities}
}

const unusable = (why: string) =>
  problem('certificate_rejected', `the proxy's certificate cannot be used: it ${why}`, {
    hint: 'ask the administrator of the proxy',
  })
