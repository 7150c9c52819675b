import {randomBytes} from 'node:crypto'
import {problem} from '../errors/index.js'
import {certificateTypes} from './algorithms.js'
import {blobType} from './keys.js'
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

const maxCertificateBytes = 64 * 1024
const maxPrincipals = 256
const kinds: Readonly<Record<number, CertificateKind>> = {1: 'user', 2: 'host'}

/**
 * Parses a certificate blob. Everything that could be read in two ways is refused: trailing bytes, duplicate or
 * unsorted options, text that is not UTF-8, an authority that is itself a certificate.
 * @throws protocol_error, certificate_rejected
 */
export function parseCertificate(blob: Buffer): Certificate {
  if (blob.length > maxCertificateBytes)
    throw problem('certificate_rejected', 'the certificate is over 64 kB')
  const reader = new WireReader(blob)
  const type = reader.text()
  const base = certificateTypes[type]
  if (!base) throw problem('certificate_rejected', `${type.slice(0, 64)} is not a certificate type`)
  const nonce = reader.string()
  const publicKey = readSubject(base, reader)
  const serial = reader.u64()
  const kind = kinds[reader.u32()]
  if (!kind) throw problem('certificate_rejected', 'the certificate is neither for a user nor for a host')
  const keyId = reader.text()
  const principals = readPrincipals(reader.string())
  const [validAfter, validBefore] = [reader.u64(), reader.u64()]
  const criticalOptions = readOptions(reader.string())
  const extensions = readOptions(reader.string())
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
    principals.push(reader.text())
  }
  return principals
}

function readOptions(bytes: Buffer): Map<string, string> {
  const reader = new WireReader(bytes)
  const options = new Map<string, string>()
  let previous: Buffer | undefined
  while (reader.remaining() > 0) {
    const name = reader.text()
    const data = reader.string()
    const order = Buffer.from(name)
    if (previous && Buffer.compare(previous, order) >= 0) {
      throw problem('certificate_rejected', 'the certificate has duplicate or unsorted options')
    }
    previous = order
    options.set(name, data.length === 0 ? '' : readOptionValue(data))
  }
  return options
}

function readOptionValue(data: Buffer): string {
  const reader = new WireReader(data)
  const value = reader.text()
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

/** Signs a certificate over `fields`. What may be issued is decided before; this only encodes (PROTOCOL.certkeys). */
export async function issueCertificate(
  fields: CertificateFields,
  authority: Signer,
  nonce: Buffer = randomBytes(32),
): Promise<Buffer> {
  const subject = new WireReader(fields.publicKey)
  const base = subject.text()
  const type = Object.keys(certificateTypes).find(name => certificateTypes[name] === base)
  if (!type) throw problem('invalid_input', `a ${base.slice(0, 64)} key cannot be certified`)
  const tbs = new WireWriter()
    .string(type)
    .string(nonce)
    .raw(subject.rest())
    .u64(fields.serial)
    .u32(fields.kind === 'user' ? 1 : 2)
    .string(fields.keyId)
    .string(fields.principals.reduce((writer, name) => writer.string(name), new WireWriter()).finish())
    .u64(fields.validAfter)
    .u64(fields.validBefore)
    .string(optionBytes(fields.criticalOptions))
    .string(optionBytes(fields.extensions))
    .string('')
    .string(authority.publicBlob)
    .finish()
  return new WireWriter()
    .raw(tbs)
    .string(await authority.sign(tbs))
    .finish()
}
