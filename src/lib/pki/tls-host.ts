import {createPublicKey, type KeyObject, X509Certificate} from 'node:crypto'
import {problem} from '../errors/index.js'
import {isUuid} from '../names/index.js'
import type {AuthorityKey} from './types.js'
import {encodeSigned, keyIdentifier} from './x509.js'

export type TlsHostRole = 'auth' | 'proxy' | 'node'

/** Whose certificate it is: one role of the cluster on one machine. */
export interface TlsHost {
  role: TlsHostRole
  /** UUID of the machine. */
  hostId: string
  clusterName: string
}

export interface TlsHostWish extends Omit<TlsHost, 'clusterName'> {
  /** P-256. */
  publicKey: KeyObject
  /** From now on. */
  lifetimeMs: number
}

/** authorityKeyIdentifier (RFC 5280 §4.2.1.1): which of several authorities of one name has signed. */
const authorityIdentifierOid = '2.5.29.35'

/**
 * The certificate of a role on one machine, PEM (RFC 5280): CN is the machine's UUID, OU the role, O the cluster. The
 * auth service may only be a TLS server with it, the others only clients, so that none of them can stand in for auth.
 * @throws invalid_input
 */
export function issueTlsHost(
  authority: AuthorityKey,
  {role, hostId, clusterName, publicKey, now, lifetimeMs}: TlsHostWish & {clusterName: string; now: number},
): Promise<string> {
  if (!isUuid(hostId)) throw problem('invalid_input', 'a machine is known by a UUID in small letters')
  if (publicKey.asymmetricKeyDetails?.namedCurve !== 'prime256v1')
    throw problem('invalid_input', 'the key of a machine is on the curve P-256')
  return encodeSigned({
    ...{publicKey, now, lifetimeMs, signingKey: authority.privateKey},
    issuer: new X509Certificate(authority.certificate ?? '').raw,
    subject: [
      {name: 'organizationName', value: clusterName.slice(0, 64)},
      {shortName: 'OU', value: role},
      {name: 'commonName', value: hostId},
    ],
    extensions: [
      {name: 'basicConstraints', cA: false, critical: true},
      {name: 'keyUsage', digitalSignature: true, critical: true},
      {name: 'extKeyUsage', ...(role === 'auth' ? {serverAuth: true} : {clientAuth: true})},
      {id: authorityIdentifierOid, value: authorityIdentifier(authority.privateKey).toString('binary')},
    ],
  })
}

/** SEQUENCE { [0] keyIdentifier }, 20 bytes of it. */
const authorityIdentifier = (key: KeyObject): Buffer =>
  Buffer.concat([Buffer.from([0x30, 0x16, 0x80, 0x14]), keyIdentifier(createPublicKey(key))])

/**
 * Whose certificate this is; nothing about whether to believe it. Pure.
 * @throws certificate_rejected for one that `issueTlsHost` never makes
 */
export function readTlsHost(certificate: X509Certificate): TlsHost {
  const {
    O: clusterName,
    OU: role,
    CN: hostId,
  } = certificate.toLegacyObject().subject as Record<string, unknown>
  // A name that is there twice comes as a list.
  if (typeof clusterName === 'string' && typeof hostId === 'string' && isUuid(hostId) && isRole(role))
    return {clusterName, hostId, role}
  throw problem('certificate_rejected', 'the certificate is of no role of a cluster')
}

const isRole = (value: unknown): value is TlsHostRole =>
  value === 'auth' || value === 'proxy' || value === 'node'
