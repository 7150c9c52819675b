import {rolesOfExtension} from '../../access/index.js'
import {checkCertificate, parseCertificate} from '../../sshcert/index.js'
import type {Caller} from '../contract.js'

/**
 * Who a user's SSH certificate is of, for whom a proxy vouches that he has shown to have its key.
 * @param certificate blob
 * @throws certificate_rejected, certificate_expired, clock_skew, protocol_error
 */
export function userOfCertificate(
  certificate: Buffer,
  {authorities, address, now}: {authorities: readonly Buffer[]; address: string; now: number},
): Caller & {kind: 'user'} {
  const parsed = parseCertificate(certificate)
  checkCertificate(parsed, {kind: 'user', authorities, now, remoteAddress: address})
  const roles = rolesOfExtension(parsed.extensions.get('teleport-roles'))
  const expires = Number(parsed.validBefore) * 1000
  return {kind: 'user', name: parsed.keyId, roles, logins: parsed.principals, expires}
}
