import type {JsonWebKey, KeyObject} from 'node:crypto'
import {problem} from '../errors/index.js'
import {blobType, exportJwk, privateKeyFields, publicKeyBlob, WireWriter} from '../sshcert/index.js'

/**
 * A private key as an add request carries it: type, then the fields of PROTOCOL.agent §2.2, which leave the public
 * part out where a certificate brings it.
 * @param certificate blob of a certificate for this key
 */
export function encodePrivateKey(key: KeyObject, certificate?: Buffer): Buffer {
  if (key.type !== 'private')
    throw problem('invalid_input', 'only a private key can be added to an ssh-agent')
  if (!certificate)
    return new WireWriter()
      .string(blobType(publicKeyBlob(key)))
      .raw(privateKeyFields(key))
      .finish()
  const message = new WireWriter().string(blobType(certificate)).string(certificate)
  const jwk = exportJwk(key)
  if (jwk.kty === 'OKP') return message.raw(privateKeyFields(key)).finish()
  message.mpint(part(jwk, 'd'))
  if (jwk.kty === 'EC') return message.finish()
  return message.mpint(part(jwk, 'qi')).mpint(part(jwk, 'p')).mpint(part(jwk, 'q')).finish()
}

const part = (jwk: JsonWebKey, name: 'd' | 'p' | 'q' | 'qi'): Buffer =>
  Buffer.from(jwk[name] ?? '', 'base64url')
