import {createHash, generateKeyPairSync, type KeyObject, randomBytes, sign} from 'node:crypto'
import type {asn1 as Asn1, pki as Pki} from 'node-forge'
import {DAY_MS} from '../names/index.js'
import {subjectAltNames} from './x509-names.js'

/** A certificate and its key, both PEM. */
export interface PemPair {
  certificate: string
  /** PKCS#8, unencrypted. */
  privateKey: string
}

/** ecdsa-with-SHA256 (RFC 5758). */
const signatureOid = '1.2.840.10045.4.3.2'
/** subjectKeyIdentifier (RFC 5280 §4.2.1.2). */
const keyIdentifierOid = '2.5.29.14'
/** Clocks of clients may be a little behind. */
const backdatedMs = 60_000
const authorityLifetimeMs = 10 * 365 * DAY_MS
/** ub-common-name and ub-organization-name (RFC 5280, appendix A). */
const maxSubjectLength = 64

/**
 * A self-signed certificate for HTTPS with a fresh P-256 key (RFC 5280).
 * @param options.names host names and IP addresses, at least one; `certifiableNames` picks those that can be
 * @param options.now Unix ms; `lifetimeMs` counts from there
 * @throws invalid_input for a name that cannot stand in a certificate
 */
export async function createWebCertificate({
  names,
  now,
  lifetimeMs,
}: {
  names: readonly string[]
  now: number
  lifetimeMs: number
}): Promise<PemPair> {
  const altNames = subjectAltNames(names)
  const commonName = names.find(name => name.length <= maxSubjectLength) ?? 'Sallyport'
  return createSelfSigned({
    ...{commonName, organization: 'Sallyport', now, lifetimeMs},
    extensions: [
      {name: 'basicConstraints', cA: false, critical: true},
      {name: 'keyUsage', digitalSignature: true, critical: true},
      {name: 'extKeyUsage', serverAuth: true},
      {name: 'subjectAltName', altNames},
    ],
  })
}

/**
 * An X.509 authority: a fresh P-256 key and its self-signed CA certificate, good for ten years, which may sign leaf
 * certificates only.
 * @param options.now Unix ms
 */
export const createX509Authority = ({
  commonName,
  organization,
  now,
}: {
  commonName: string
  organization: string
  now: number
}): Promise<PemPair> =>
  createSelfSigned({
    ...{commonName, organization, now, lifetimeMs: authorityLifetimeMs},
    extensions: [
      {name: 'basicConstraints', cA: true, pathLenConstraint: 0, critical: true},
      {name: 'keyUsage', keyCertSign: true, cRLSign: true, critical: true},
    ],
  })

interface SelfSignedFields {
  commonName: string
  organization: string
  /** Unix ms. */
  now: number
  lifetimeMs: number
  /** As node-forge describes them. */
  extensions: readonly object[]
}

async function createSelfSigned(fields: SelfSignedFields): Promise<PemPair> {
  const {privateKey, publicKey} = generateKeyPairSync('ec', {namedCurve: 'prime256v1'})
  const subject = subjectOf(fields)
  return {
    certificate: await encodeSigned({...fields, subject, publicKey, signingKey: privateKey}),
    privateKey: privateKey.export({type: 'pkcs8', format: 'pem'}).toString(),
  }
}

/** Absent from the published types. */
type Encoder = typeof Pki & {getTBSCertificate(certificate: Pki.Certificate): Asn1.Asn1}

/** What is signed. P-256 keys. */
export interface SignedFields {
  /** As node-forge describes them. */
  subject: Pki.CertificateField[]
  extensions: readonly object[]
  publicKey: KeyObject
  /** DER of the certificate of whoever signs; absent: it signs itself. */
  issuer?: Buffer
  signingKey: KeyObject
  /** Unix ms. */
  now: number
  lifetimeMs: number
}

/**
 * A certificate, PEM. node-forge encodes and does nothing else. It knows RSA alone: it is given an RSA key that is
 * nobody's, what depends on the key is replaced, and node:crypto signs.
 */
export async function encodeSigned(fields: SignedFields): Promise<string> {
  const {subject, publicKey, issuer, signingKey} = fields
  const {asn1, jsbn, pki} = (await import('node-forge')).default
  const {UNIVERSAL} = asn1.Class
  const primitive = (type: Asn1.Type, bytes: string) => asn1.create(UNIVERSAL, type, false, bytes)
  const sequence = (...parts: Asn1.Asn1[]) => asn1.create(UNIVERSAL, asn1.Type.SEQUENCE, true, parts)
  const toDer = (value: Asn1.Asn1): Buffer => Buffer.from(asn1.toDer(value).getBytes(), 'binary')

  const certificate = pki.createCertificate()
  certificate.publicKey = pki.rsa.setPublicKey(jsbn.BigInteger.ONE, jsbn.BigInteger.ONE)
  certificate.siginfo.algorithmOid = signatureOid
  certificate.serialNumber = serialNumber()
  certificate.validity.notBefore = new Date(fields.now - backdatedMs)
  certificate.validity.notAfter = new Date(fields.now + fields.lifetimeMs)
  certificate.setSubject(subject)
  certificate.setIssuer(subject)
  const identifier = toDer(primitive(asn1.Type.OCTETSTRING, keyIdentifier(publicKey).toString('binary')))
  certificate.setExtensions([
    ...fields.extensions,
    {id: keyIdentifierOid, value: identifier.toString('binary')},
  ])

  const algorithm = sequence(primitive(asn1.Type.OID, asn1.oidToDer(signatureOid).getBytes()))
  const tbs = (pki as Encoder).getTBSCertificate(certificate)
  // TBSCertificate ::= version, serialNumber, signature, issuer, validity, subject, subjectPublicKeyInfo, …
  const parts = tbs.value as Asn1.Asn1[]
  parts[2] = algorithm
  if (issuer) parts[3] = subjectIn(asn1.fromDer(issuer.toString('binary')))
  parts[6] = asn1.fromDer(spki(publicKey).toString('binary'))
  const signature = sign('sha256', toDer(tbs), signingKey).toString('binary')
  // The first byte of a bit string counts its unused bits: none.
  const der = toDer(sequence(tbs, algorithm, primitive(asn1.Type.BITSTRING, `\0${signature}`)))
  const base64 = der.toString('base64').replace(/.{1,64}/g, '$&\n')
  return `-----BEGIN CERTIFICATE-----\n${base64}-----END CERTIFICATE-----\n`
}

/** The subject of a certificate as it is encoded there: names are compared byte by byte. */
const subjectIn = (certificate: Asn1.Asn1): Asn1.Asn1 => {
  const [tbs] = certificate.value as [Asn1.Asn1]
  return (tbs.value as Asn1.Asn1[])[5] as Asn1.Asn1
}

const subjectOf = ({commonName, organization}: SelfSignedFields): Pki.CertificateField[] => [
  {name: 'commonName', value: commonName.slice(0, maxSubjectLength)},
  {name: 'organizationName', value: organization.slice(0, maxSubjectLength)},
]

const spki = (key: KeyObject): Buffer => key.export({type: 'spki', format: 'der'})

/** SHA-1 of the public point (RFC 5280 §4.2.1.2, method 1), the last 65 bytes of a P-256 key. It only names the key. */
export const keyIdentifier = (key: KeyObject): Buffer =>
  createHash('sha1').update(spki(key).subarray(-65)).digest()

/** 127 random bits, positive and without leading zeros, in hex (RFC 5280 §4.1.2.2). */
function serialNumber(): string {
  const bytes = randomBytes(16)
  bytes[0] = ((bytes[0] ?? 0) & 0x7f) | 0x40
  return bytes.toString('hex')
}
