import {randomBytes} from 'node:crypto'
import {problem, SallyportError} from '../errors/index.js'
import {certificateTypes} from './algorithms.js'
import {blobType, readPublicKey} from './keys.js'
import {isPrincipal} from './principal.js'
import {verifySignature} from './signature.js'
import type {Signer} from './signer.js'
import {WireReader, WireWriter} from './wire.js'

export type CertificateKind = 'user' | 'host'

/** An OpenSSH certificate as parsed, not yet believed (PROTOCOL.certkeys). */
export interface Certificate {
  /** Format name of the blob, `…-cert-v01@openssh.com`. */
  type: string
  blob: Buffer
  /** Plain public key blob of the certified key. */
  publicKey: Buffer
  nonce: Buffer
  serial: bigint
  kind: CertificateKind
  keyId: string
  principals: string[]
  /** Unix seconds: valid from this second on. */
  validAfter: bigint
  /** Unix seconds: no longer valid in this second. */
  validBefore: bigint
  criticalOptions: Map<string, string>
  /** Those whose value is text or nothing; others mean nothing to us. */
  extensions: Map<string, string>
  /** Plain public key blob of the authority. */
  authority: Buffer
  signature: Buffer
  /** The bytes that the authority signed. */
  tbs: Buffer
}

export interface CertificateFields {
  /** Plain public key blob. */
  publicKey: Buffer
  kind: CertificateKind
  serial: bigint
  keyId: string
  principals: readonly string[]
  validAfter: bigint
  validBefore: bigint
  criticalOptions?: ReadonlyMap<string, string>
  extensions?: ReadonlyMap<string, string>
}

/** A certificate of a person with hundreds of roles has a few kB. */
const maxCertificateBytes = 64 * 1024
/** OpenSSH's own limit (SSHKEY_CERT_MAX_PRINCIPALS). */
const maxPrincipals = 256
const kindNumbers = {user: 1, host: 2} as const

/**
 * Parses a certificate blob, which is copied. Everything that could be read in two ways is refused: trailing bytes,
 * duplicate or unsorted options, text that is not UTF-8 or holds NUL, an authority that is itself a certificate.
 * @throws protocol_error, certificate_rejected
 */
export function parseCertificate(bytes: Buffer): Certificate {
  if (bytes.length > maxCertificateBytes)
    throw problem('certificate_rejected', 'the certificate is over 64 kB')
  const blob = Buffer.from(bytes)
  const reader = new WireReader(blob)
  const type = reader.text()
  const base = certificateTypes[type]
  if (!base) throw problem('certificate_rejected', `${type.slice(0, 64)} is not a certificate type`)
  const nonce = reader.string()
  const publicKey = readSubject(base, reader)
  const serial = reader.u64()
  const kind = readKind(reader)
  const keyId = readText(reader)
  const principals = readPrincipals(reader.string())
  const [validAfter, validBefore] = [reader.u64(), reader.u64()]
  const criticalOptions = readCriticalOptions(reader.string())
  const extensions = readExtensions(reader.string())
  reader.string() // reserved, ignored by definition
  const authority = reader.string()
  if (blobType(authority) in certificateTypes) {
    throw problem('certificate_rejected', 'the certificate is signed by a certificate instead of a CA key')
  }
  const tbs = blob.subarray(0, reader.offset)
  const signature = reader.string()
  reader.end()
  return {
    ...{type, blob, publicKey, nonce, serial, kind, keyId, principals, validAfter, validBefore},
    ...{criticalOptions, extensions, authority, signature, tbs},
  }
}

/** Number of wire strings that make up the key in a certificate, after its type. */
const subjectFields: Readonly<Record<string, number>> = {
  'ssh-ed25519': 1,
  'ssh-rsa': 2,
  'ecdsa-sha2-nistp256': 2,
  'ecdsa-sha2-nistp384': 2,
  'ecdsa-sha2-nistp521': 2,
  'sk-ssh-ed25519@openssh.com': 2,
  'sk-ecdsa-sha2-nistp256@openssh.com': 3,
}

function readKind(reader: WireReader): CertificateKind {
  const number = reader.u32()
  if (number === kindNumbers.user) return 'user'
  if (number === kindNumbers.host) return 'host'
  throw problem('certificate_rejected', 'the certificate is neither for a user nor for a host')
}

/** Programs written in C would take a name with NUL for a shorter one. */
function readText(reader: WireReader): string {
  const text = reader.text()
  if (text.includes('\0')) throw problem('certificate_rejected', 'the certificate holds text with NUL')
  return text
}

function readSubject(base: string, reader: WireReader): Buffer {
  const writer = new WireWriter().string(base)
  for (let field = 0; field < (subjectFields[base] ?? 0); field++) writer.string(reader.string())
  return writer.finish()
}

function readPrincipals(bytes: Buffer): string[] {
  const reader = new WireReader(bytes)
  const principals: string[] = []
  while (reader.remaining() > 0) {
    if (principals.length === maxPrincipals)
      throw problem('certificate_rejected', 'the certificate has too many principals')
    principals.push(readText(reader))
  }
  return principals
}

/** Names and raw values, in strictly ascending order of the bytes of the name. */
function readOptions(bytes: Buffer): [name: string, value: Buffer][] {
  const reader = new WireReader(bytes)
  const options: [string, Buffer][] = []
  let previous: Buffer | undefined
  while (reader.remaining() > 0) {
    const name = readText(reader)
    const order = Buffer.from(name)
    if (previous && Buffer.compare(previous, order) >= 0) {
      throw problem('certificate_rejected', 'the certificate has duplicate or unsorted options')
    }
    previous = order
    options.push([name, reader.string()])
  }
  return options
}

const readCriticalOptions = (bytes: Buffer): Map<string, string> =>
  new Map(readOptions(bytes).map(([name, value]) => [name, readOptionValue(value)]))

/** An extension in a form of its own is one we do not know, and those are to be ignored. */
function readExtensions(bytes: Buffer): Map<string, string> {
  const extensions = new Map<string, string>()
  for (const [name, value] of readOptions(bytes)) {
    try {
      extensions.set(name, readOptionValue(value))
    } catch (error) {
      if (!(error instanceof SallyportError)) throw error
    }
  }
  return extensions
}

/** Nothing, or one string (PROTOCOL.certkeys). */
function readOptionValue(data: Buffer): string {
  if (data.length === 0) return ''
  const reader = new WireReader(data)
  const value = readText(reader)
  reader.end()
  return value
}

function optionBytes(options: ReadonlyMap<string, string> = new Map()): Buffer {
  const writer = new WireWriter()
  const sorted = [...options].sort(([a], [b]) => Buffer.compare(Buffer.from(a), Buffer.from(b)))
  for (const [name, value] of sorted) {
    writer.string(name).string(value === '' ? Buffer.alloc(0) : new WireWriter().string(value).finish())
  }
  return writer.finish()
}

/**
 * Signs a certificate over `fields` (PROTOCOL.certkeys). Who may have it is decided before; refused here is what no
 * certificate may hold, and a signature that would not be accepted, since signers may be agents or a KMS.
 * @param nonce for tests only; 32 random bytes by default
 * @throws invalid_input, certificate_rejected
 */
export async function issueCertificate(
  fields: CertificateFields,
  authority: Signer,
  nonce: Buffer = randomBytes(32),
): Promise<Buffer> {
  checkFields(fields)
  const subject = new WireReader(fields.publicKey)
  const base = subject.text()
  const type = Object.keys(certificateTypes).find(name => certificateTypes[name] === base)
  if (!type) throw problem('invalid_input', `a ${base.slice(0, 64)} key cannot be certified`)
  const tbs = new WireWriter()
    .string(type)
    .string(nonce)
    .raw(subject.rest())
    .u64(fields.serial)
    .u32(kindNumbers[fields.kind])
    .string(fields.keyId)
    .string(fields.principals.reduce((writer, name) => writer.string(name), new WireWriter()).finish())
    .u64(fields.validAfter)
    .u64(fields.validBefore)
    .string(optionBytes(fields.criticalOptions))
    .string(optionBytes(fields.extensions))
    .string('')
    .string(authority.publicBlob)
    .finish()
  const signature = await authority.sign(tbs)
  if (!verifySignature(authority.publicBlob, tbs, signature))
    throw problem('invalid_input', 'the authority made a signature that does not fit its key')
  const blob = new WireWriter().raw(tbs).string(signature).finish()
  parseCertificate(blob)
  return blob
}

function checkFields({publicKey, keyId, principals, validAfter, validBefore}: CertificateFields): void {
  // Bytes after the key would be read as the fields that follow it: a request could choose its own principals.
  readPublicKey(publicKey)
  if (/\p{Cc}/u.test(keyId)) throw problem('invalid_input', 'the key id holds control characters')
  if (principals.length === 0) throw problem('invalid_input', 'a certificate needs at least one principal')
  for (const name of principals) {
    if (!isPrincipal(name))
      throw problem('invalid_input', `${JSON.stringify(name.slice(0, 64))} cannot be a principal`, {
        hint: 'use an exact name of visible ASCII characters without comma, `*` and `?`',
      })
  }
  if (validBefore <= validAfter)
    throw problem('invalid_input', 'the validity of the certificate would end before it begins')
}
