import {generateKeyPairSync, type KeyObject} from 'node:crypto'
import {publicKeyBlob, signData, WireReader, WireWriter} from '../../src/lib/sshcert/index.js'

/** In wire order; text is wrapped as one string, '' becomes empty data, a Buffer is the raw data of the option. */
export type ForgedOptions = readonly (readonly [name: string | Buffer, value: string | Buffer])[]

/** Every field of a certificate as it goes on the wire, sane or not (PROTOCOL.certkeys). */
export interface Forgery {
  type: string
  nonce: Buffer
  /** The fields of the certified key, after its type. */
  subject: Buffer
  serial: bigint
  kind: number
  keyId: string | Buffer
  /** A Buffer is the raw data of the list. */
  principals: readonly (string | Buffer)[] | Buffer
  validAfter: bigint
  validBefore: bigint
  criticalOptions: ForgedOptions
  extensions: ForgedOptions
  reserved: Buffer
  authority: Buffer
  /** Makes the signature blob. */
  sign: (tbs: Buffer) => Buffer
  /** What follows the certificate. */
  trailing: Buffer
}

/**
 * An encoder that refuses nothing, apart from the one under test: what the product would never issue has to come from
 * somewhere.
 */
export function forgeCertificate(fields: Forgery): Buffer {
  const tbs = new WireWriter()
    .string(fields.type)
    .string(fields.nonce)
    .raw(fields.subject)
    .u64(fields.serial)
    .u32(fields.kind)
    .string(fields.keyId)
    .string(Buffer.isBuffer(fields.principals) ? fields.principals : strings(fields.principals))
    .u64(fields.validAfter)
    .u64(fields.validBefore)
    .string(optionData(fields.criticalOptions))
    .string(optionData(fields.extensions))
    .string(fields.reserved)
    .string(fields.authority)
    .finish()
  return new WireWriter().raw(tbs).string(fields.sign(tbs)).raw(fields.trailing).finish()
}

/** A certificate of `subject` by `authority` with nothing wrong about it, to be changed. */
export function soundForgery(subject: KeyObject, authority: KeyObject, now: bigint, login: string): Forgery {
  const reader = new WireReader(publicKeyBlob(subject))
  const type = reader.text()
  return {
    type: `${type}-cert-v01@openssh.com`,
    nonce: Buffer.alloc(32, 7),
    subject: reader.rest(),
    serial: 42n,
    kind: 1,
    keyId: 'joe',
    principals: [login],
    validAfter: now - 60n,
    validBefore: now + 3600n,
    criticalOptions: [],
    extensions: [['permit-pty', '']],
    ...signedBy(authority),
    reserved: Buffer.alloc(0),
    trailing: Buffer.alloc(0),
  }
}

export const signedBy = (authority: KeyObject, algorithm?: string): Pick<Forgery, 'authority' | 'sign'> => ({
  authority: publicKeyBlob(authority),
  sign: tbs => signData(authority, tbs, algorithm),
})

export const strings = (values: readonly (string | Buffer)[]): Buffer =>
  values.reduce<WireWriter>((writer, value) => writer.string(value), new WireWriter()).finish()

const optionData = (options: ForgedOptions): Buffer =>
  strings(
    options.flatMap(([name, value]) => [
      name,
      typeof value === 'string' && value !== '' ? strings([value]) : value,
    ]),
  )

export const keyTypes = ['ed25519', 'p256', 'p384', 'p521', 'rsa'] as const
export type KeyType = (typeof keyTypes)[number]

const curveNames = {p256: 'P-256', p384: 'P-384', p521: 'P-521'} as const

export function newPrivateKey(type: KeyType): KeyObject {
  if (type === 'ed25519') return generateKeyPairSync('ed25519').privateKey
  if (type === 'rsa') return generateKeyPairSync('rsa', {modulusLength: 2048}).privateKey
  return generateKeyPairSync('ec', {namedCurve: curveNames[type]}).privateKey
}
