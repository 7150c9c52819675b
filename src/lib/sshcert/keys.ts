import {createHash, createPrivateKey, createPublicKey, type JsonWebKey, type KeyObject} from 'node:crypto'
import {problem} from '../errors/index.js'
import {curves, securityKeyTypes} from './algorithms.js'
import {WireReader, WireWriter} from './wire.js'

const minRsaBits = 2048
/** OpenSSH's own limit; larger moduli only serve to burn CPU. */
const maxRsaBits = 16_384

const fromBase64Url = (text: string | undefined): Buffer => Buffer.from(text ?? '', 'base64url')

/**
 * The SSH public key blob of a KeyObject, private or public: Ed25519, NIST curves, RSA.
 * @throws invalid_input for other kinds of keys
 */
export function publicKeyBlob(key: KeyObject): Buffer {
  const jwk = exportJwk(key.type === 'private' ? createPublicKey(key) : key)
  if (jwk.kty === 'OKP' && jwk.crv === 'Ed25519') {
    return new WireWriter().string('ssh-ed25519').string(fromBase64Url(jwk.x)).finish()
  }
  if (jwk.kty === 'RSA') {
    return new WireWriter().string('ssh-rsa').mpint(fromBase64Url(jwk.e)).mpint(fromBase64Url(jwk.n)).finish()
  }
  const found = Object.entries(curves).find(([, curve]) => jwk.kty === 'EC' && curve.jwk === jwk.crv)
  if (!found)
    throw problem('invalid_input', `keys of type ${jwk.kty} ${jwk.crv ?? ''} cannot be used with SSH`)
  const point = Buffer.concat([Buffer.of(4), fromBase64Url(jwk.x), fromBase64Url(jwk.y)])
  return new WireWriter().string(found[0]).string(found[1].name).string(point).finish()
}

/**
 * A key as JWK (RFC 7517). It is exported from a copy: Node 20 makes the strings while it holds the lock of the key, and a
 * garbage collection in that moment that frees the job by which the key was generated waits for the same lock, for ever.
 * @throws invalid_input for kinds of keys that SSH does not know
 */
export function exportJwk(key: KeyObject): JsonWebKey {
  try {
    return copyOf(key).export({format: 'jwk'})
  } catch (cause) {
    throw problem('invalid_input', `${key.asymmetricKeyType} keys cannot be used with SSH`, {cause})
  }
}

const copyOf = (key: KeyObject): KeyObject =>
  key.type === 'private'
    ? createPrivateKey({key: key.export({type: 'pkcs8', format: 'der'}), type: 'pkcs8', format: 'der'})
    : createPublicKey({key: key.export({type: 'spki', format: 'der'}), type: 'spki', format: 'der'})

/**
 * The KeyObject of a plain SSH public key blob. Certificates, FIDO keys, weak and oversized RSA keys are refused
 * before any arithmetic is done with them.
 * @throws invalid_input, protocol_error
 */
export function publicKeyFromBlob(blob: Buffer): KeyObject {
  const {key, application} = readPublicKey(blob)
  if (application !== undefined)
    throw problem('invalid_input', 'a FIDO key signs in a form of its own and cannot be used here')
  return key
}

export interface ReadPublicKey {
  key: KeyObject
  /** FIDO keys only: what the key was made for, mostly `ssh:`. It is part of everything the key signs. */
  application?: string
}

/**
 * Reads a public key blob, FIDO keys included, and refuses what `publicKeyFromBlob` refuses otherwise.
 * @throws invalid_input, protocol_error
 */
export function readPublicKey(blob: Buffer): ReadPublicKey {
  const reader = new WireReader(blob)
  const type = reader.text()
  const base = securityKeyTypes[type]
  const jwk = readJwk(base ?? type, reader)
  const application = base === undefined ? undefined : reader.text()
  reader.end()
  try {
    const key = createPublicKey({key: jwk, format: 'jwk'})
    return application === undefined ? {key} : {key, application}
  } catch (cause) {
    throw problem('invalid_input', `the ${type} public key is not valid`, {cause})
  }
}

function readJwk(type: string, reader: WireReader): JsonWebKey {
  if (type === 'ssh-ed25519') {
    const point = reader.string()
    if (point.length !== 32) throw problem('invalid_input', 'an Ed25519 public key must have 32 bytes')
    return {kty: 'OKP', crv: 'Ed25519', x: point.toString('base64url')}
  }
  if (type === 'ssh-rsa') return readRsaJwk(reader)
  const curve = curves[type]
  if (!curve) throw problem('invalid_input', `${type.slice(0, 64)} is not a plain public key type`)
  if (reader.text() !== curve.name) throw problem('invalid_input', `the ${type} key names another curve`)
  const point = reader.string()
  if (point.length !== 1 + 2 * curve.size || point[0] !== 4) {
    throw problem('invalid_input', `the ${type} key has no uncompressed point`)
  }
  const x = point.subarray(1, 1 + curve.size).toString('base64url')
  return {kty: 'EC', crv: curve.jwk, x, y: point.subarray(1 + curve.size).toString('base64url')}
}

function readRsaJwk(reader: WireReader): JsonWebKey {
  const exponent = reader.mpint()
  const modulus = reader.mpint()
  const bits = modulus.length === 0 ? 0 : modulus.length * 8 - Math.clz32(modulus[0] ?? 0) + 24
  if (bits < minRsaBits || bits > maxRsaBits) {
    throw problem(
      'invalid_input',
      `RSA keys must have ${minRsaBits} to ${maxRsaBits} bits, this one has ${bits}`,
    )
  }
  // e = 1 makes every signature valid; a huge e makes every check slow.
  const e = exponent.length <= 4 ? Number(`0x${exponent.toString('hex') || '0'}`) : Number.POSITIVE_INFINITY
  if (e < 3 || e % 2 === 0 || e > 0xffffffff)
    throw problem('invalid_input', 'the RSA key has an unsafe exponent')
  return {kty: 'RSA', e: exponent.toString('base64url'), n: modulus.toString('base64url')}
}

/** The type name a key or certificate blob begins with. */
export const blobType = (blob: Buffer): string => new WireReader(blob).text()

/**
 * `SHA256:…` without padding, as ssh-keygen -l prints it for a plain key. Of a certificate it would name the whole
 * blob: take the fingerprint of its `publicKey`.
 */
export const fingerprint = (blob: Buffer): string =>
  `SHA256:${createHash('sha256').update(blob).digest('base64').replace(/=+$/, '')}`

/**
 * One authorized_keys line without options and without a line end. Control characters in the comment, which may come
 * from somebody's agent, become blanks: a line stays one line.
 * @throws invalid_input when the blob does not begin with the name of a key type
 */
export function formatAuthorizedKey(blob: Buffer, comment = ''): string {
  const type = blobType(blob)
  if (!/^[\x21-\x7e]+$/.test(type)) throw problem('invalid_input', 'the public key names no type')
  const remark = comment.replace(/\p{Cc}+/gu, ' ').trim()
  return `${type} ${blob.toString('base64')}${remark ? ` ${remark}` : ''}`
}

/** Room for the longest certificate and a comment. */
const maxLineLength = 100_000

/**
 * Parses `type base64 [comment]`; options before the type are not accepted. The key itself is not looked at.
 * @throws invalid_input
 */
export function parseAuthorizedKey(line: string): {type: string; blob: Buffer; comment: string} {
  const match = /^([\x21-\x7e]+)[ \t]+([A-Za-z0-9+/]+={0,2})(?:[ \t]+([^\n\r]*))?$/.exec(
    line.length > maxLineLength ? '' : line.trim(),
  )
  const [, type, encoded, comment = ''] = match ?? []
  if (type === undefined || encoded === undefined) {
    throw problem('invalid_input', 'this is not an SSH public key line', {
      hint: 'expected `type base64 comment`',
    })
  }
  const blob = Buffer.from(encoded, 'base64')
  if (!blob.subarray(0, 4 + type.length).equals(new WireWriter().string(type).finish()))
    throw problem('invalid_input', 'the public key line names another type than its data')
  return {type, blob, comment}
}
