import {createPrivateKey, type JsonWebKey, type KeyObject, randomBytes} from 'node:crypto'
import {problem} from '../errors/index.js'
import {type Curve, curves} from './algorithms.js'
import {blobType, exportJwk, publicKeyBlob, publicKeyFromBlob} from './keys.js'
import {WireReader, WireWriter} from './wire.js'

/** openssh-key-v1, unencrypted (PROTOCOL.key). */
const magic = Buffer.from('openssh-key-v1\0')
const begin = '-----BEGIN OPENSSH PRIVATE KEY-----'
const end = '-----END OPENSSH PRIVATE KEY-----'

const part = (jwk: JsonWebKey, name: 'd' | 'x' | 'y' | 'n' | 'e' | 'p' | 'q' | 'qi'): Buffer =>
  Buffer.from(jwk[name] ?? '', 'base64url')

/** The private fields of a key as both key files and agents carry them, without the leading type. */
export function privateKeyFields(key: KeyObject): Buffer {
  const jwk = exportJwk(key)
  const type = blobType(publicKeyBlob(key))
  const curve = curves[type]
  if (type === 'ssh-ed25519') {
    const seed = part(jwk, 'd')
    const point = part(jwk, 'x')
    return new WireWriter()
      .string(point)
      .string(Buffer.concat([seed, point]))
      .finish()
  }
  if (curve) {
    const point = Buffer.concat([Buffer.of(4), part(jwk, 'x'), part(jwk, 'y')])
    return new WireWriter().string(curve.name).string(point).mpint(part(jwk, 'd')).finish()
  }
  const writer = new WireWriter()
  for (const name of ['n', 'e', 'd', 'qi', 'p', 'q'] as const) writer.mpint(part(jwk, name))
  return writer.finish()
}

/** The key as an OpenSSH private key file, with its final newline. */
export function formatPrivateKey(key: KeyObject, comment: string): string {
  const publicBlob = publicKeyBlob(key)
  const check = randomBytes(4)
  const secret = new WireWriter()
    .raw(check)
    .raw(check)
    .string(blobType(publicBlob))
    .raw(privateKeyFields(key))
    .string(comment)
    .finish()
  const padding = Buffer.from(Array.from({length: (8 - (secret.length % 8)) % 8}, (_, index) => index + 1))
  const file = new WireWriter()
    .raw(magic)
    .string('none')
    .string('none')
    .string('')
    .u32(1)
    .string(publicBlob)
    .string(Buffer.concat([secret, padding]))
    .finish()
  const lines = file.toString('base64').match(/.{1,70}/g) ?? []
  return [begin, ...lines, end, ''].join('\n')
}

/** A 16384-bit RSA key file has 13 kB. */
const maxFileLength = 64 * 1024

/**
 * Reads an unencrypted OpenSSH private key file, or a PKCS#8/SEC1/PKCS#1 PEM: Ed25519, NIST curves, RSA of a fit size.
 * @throws invalid_input
 */
export function parsePrivateKey(pem: string): KeyObject {
  try {
    if (pem.length > maxFileLength) throw problem('invalid_input', 'the file is over 64 kB')
    const start = pem.indexOf(begin)
    const key = start < 0 ? createPrivateKey(pem) : readKeyFile(keyFileBytes(pem, start + begin.length))
    publicKeyFromBlob(publicKeyBlob(key))
    return key
  } catch (cause) {
    throw problem('invalid_input', 'this is not a private key that can be read', {
      hint: 'give an unencrypted OpenSSH or PEM private key',
      cause,
    })
  }
}

function keyFileBytes(pem: string, start: number): Buffer {
  const stop = pem.indexOf(end, start)
  if (stop < 0) throw problem('invalid_input', 'the file is cut short')
  return Buffer.from(pem.slice(start, stop).replace(/\s/g, ''), 'base64')
}

function readKeyFile(file: Buffer): KeyObject {
  if (!file.subarray(0, magic.length).equals(magic)) throw problem('invalid_input', 'wrong magic')
  const reader = new WireReader(file.subarray(magic.length))
  if (reader.text() !== 'none') throw problem('invalid_input', 'the key is encrypted')
  reader.string()
  reader.string()
  if (reader.u32() !== 1) throw problem('invalid_input', 'the file holds several keys')
  const publicBlob = reader.string()
  const secret = new WireReader(reader.string())
  reader.end()
  const check = secret.u32()
  if (secret.u32() !== check) throw problem('invalid_input', 'the check numbers differ')
  const key = createPrivateKey({key: readPrivateJwk(secret.text(), secret), format: 'jwk'})
  secret.string() // comment
  if (!secret.rest().every((byte, index) => byte === index + 1))
    throw problem('invalid_input', 'the padding is wrong')
  if (!publicKeyBlob(key).equals(publicBlob))
    throw problem('invalid_input', 'the halves of the key do not fit')
  return key
}

const modulo = (value: bigint, modulus: bigint): bigint => ((value % modulus) + modulus) % modulus
const toBigInt = (bytes: Buffer): bigint => BigInt(`0x${bytes.toString('hex') || '0'}`)
const fromBigInt = (value: bigint): string => {
  const hex = value.toString(16)
  return Buffer.from(hex.length % 2 ? `0${hex}` : hex, 'hex').toString('base64url')
}

function readPrivateJwk(type: string, reader: WireReader): JsonWebKey {
  const curve = curves[type]
  if (type === 'ssh-ed25519') {
    const x = encode(reader.string())
    return {kty: 'OKP', crv: 'Ed25519', x, d: encode(reader.string().subarray(0, 32))}
  }
  if (curve) return readEcJwk(curve, reader)
  if (type === 'ssh-rsa') return readRsaJwk(reader)
  throw problem('invalid_input', `${type} keys cannot be read`)
}

const encode = (bytes: Buffer): string => bytes.toString('base64url')

function readEcJwk({jwk, size}: Curve, reader: WireReader): JsonWebKey {
  reader.string() // name of the curve, again
  const point = reader.string()
  const scalar = reader.mpint()
  const d = Buffer.concat([Buffer.alloc(size - scalar.length), scalar])
  const [x, y] = [point.subarray(1, 1 + size), point.subarray(1 + size, 1 + 2 * size)]
  return {kty: 'EC', crv: jwk, x: encode(x), y: encode(y), d: encode(d)}
}

function readRsaJwk(reader: WireReader): JsonWebKey {
  const [n, e, d] = [reader.mpint(), reader.mpint(), reader.mpint()]
  const [qi, p, q] = [reader.mpint(), reader.mpint(), reader.mpint()]
  const exponent = (prime: Buffer): string => fromBigInt(modulo(toBigInt(d), toBigInt(prime) - 1n))
  return {
    ...{kty: 'RSA', n: encode(n), e: encode(e), d: encode(d), p: encode(p), q: encode(q), qi: encode(qi)},
    ...{dp: exponent(p), dq: exponent(q)},
  }
}
