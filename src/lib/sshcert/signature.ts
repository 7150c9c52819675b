import {createHash, type KeyObject, sign, verify} from 'node:crypto'
import {problem} from '../errors/index.js'
import {curves, securityKeyTypes, signatureAlgorithms} from './algorithms.js'
import {blobType, publicKeyBlob, readPublicKey} from './keys.js'
import {WireReader, WireWriter} from './wire.js'

/**
 * Signs `data` and returns the SSH signature blob: string format, string signature (RFC 4253 §6.6).
 * `algorithm` defaults to the key's strongest. SHA-1 cannot be asked for.
 */
export function signData(key: KeyObject, data: Buffer, algorithm?: string): Buffer {
  const type = blobType(publicKeyBlob(key))
  const allowed = signatureAlgorithms[type] ?? []
  const format = algorithm ?? allowed[0]
  if (format === undefined || !allowed.includes(format)) {
    throw problem('invalid_input', `a ${type} key cannot make a ${format ?? 'known'} signature`)
  }
  return new WireWriter()
    .string(format)
    .string(rawSignature(key, data, format))
    .finish()
}

function rawSignature(key: KeyObject, data: Buffer, format: string): Buffer {
  if (format === 'ssh-ed25519') return sign(null, data, key)
  const curve = curves[format]
  if (!curve) return sign(format === 'rsa-sha2-512' ? 'sha512' : 'sha256', data, key)
  const pair = sign(curve.hash, data, {key, dsaEncoding: 'ieee-p1363'})
  return new WireWriter().mpint(pair.subarray(0, curve.size)).mpint(pair.subarray(curve.size)).finish()
}

/**
 * Checks an SSH signature blob by a plain public key blob. The format in the blob must fit the key, and be in
 * `allowed` where given. FIDO signatures must say that somebody touched the key. Malformed signatures are false,
 * malformed keys throw.
 * @throws invalid_input, protocol_error
 */
export function verifySignature(
  publicBlob: Buffer,
  data: Buffer,
  signatureBlob: Buffer,
  allowed?: readonly string[],
): boolean {
  const type = blobType(publicBlob)
  const parsed = readSignature(signatureBlob)
  if (!parsed || !(signatureAlgorithms[type] ?? []).includes(parsed.format)) return false
  if (allowed && !allowed.includes(parsed.format)) return false
  const {key, application} = readPublicKey(publicBlob)
  if (application === undefined) return !parsed.touch && verifyBytes(parsed.format, key, data, parsed.bytes)
  if (!parsed.touch || (parsed.touch.readUInt8() & userPresent) === 0) return false
  // PROTOCOL.u2f: the authenticator signs hashes, and its flags and counter between them.
  const signed = Buffer.concat([sha256(Buffer.from(application)), parsed.touch, sha256(data)])
  return verifyBytes(securityKeyTypes[type] ?? '', key, signed, parsed.bytes)
}

const userPresent = 0x01
const sha256 = (data: Buffer): Buffer => createHash('sha256').update(data).digest()

function verifyBytes(format: string, key: KeyObject, data: Buffer, bytes: Buffer): boolean {
  if (format === 'ssh-ed25519') return verify(null, data, key, bytes)
  const curve = curves[format]
  if (!curve) return verify(format === 'rsa-sha2-512' ? 'sha512' : 'sha256', data, key, bytes)
  const pair = ecdsaPair(bytes, curve.size)
  return pair !== undefined && verify(curve.hash, data, {key, dsaEncoding: 'ieee-p1363'}, pair)
}

interface SignatureParts {
  format: string
  bytes: Buffer
  /** FIDO signatures only: one byte of flags, four of a counter. */
  touch?: Buffer
}

/** undefined for anything malformed: to the caller that is one more way of not being valid. */
function readSignature(blob: Buffer): SignatureParts | undefined {
  try {
    const reader = new WireReader(blob)
    const format = reader.text()
    const bytes = reader.string()
    if (reader.remaining() === 5) return {format, bytes, touch: reader.rest()}
    reader.end()
    return {format, bytes}
  } catch {
    return undefined
  }
}

function ecdsaPair(bytes: Buffer, size: number): Buffer | undefined {
  try {
    const reader = new WireReader(bytes)
    const [r, s] = [reader.mpint(), reader.mpint()]
    reader.end()
    if (r.length > size || s.length > size) return undefined
    return Buffer.concat([Buffer.alloc(size - r.length), r, Buffer.alloc(size - s.length), s])
  } catch {
    return undefined
  }
}
