import {createHash, createPrivateKey, generateKeyPairSync, type KeyObject, sign, verify} from 'node:crypto'
import {writeFileSync} from 'node:fs'
import {join} from 'node:path'
import fc from 'fast-check'
import {expect, test} from 'vitest'
import {
  algorithmForCertificate,
  certificateAlgorithms,
  certificateTypes,
  formatAuthorizedKey,
  hostCertificateAlgorithms,
  publicKeyBlob,
  publicKeyFromBlob,
  signatureAlgorithms,
  signData,
  verifySignature,
  WireReader,
  WireWriter,
} from '../../../src/lib/sshcert/index.js'
import {keyTypes, newPrivateKey, strings} from '../../support/forged-certificate.js'
import {sshKeygen} from '../../support/openssh.js'
import {run} from '../../support/process.js'
import {temporaryDirectory} from '../../support/temporary-directory.js'

const keys = keyTypes.map(newPrivateKey)
const rsa = keys.at(-1) ?? newPrivateKey('rsa')
const data = Buffer.from('data')

/** What `ssh-keygen -Y` signs and stores (PROTOCOL.sshsig). */
const envelope = (hash: string): Buffer =>
  new WireWriter().raw(Buffer.from('SSHSIG')).string('file').string('').string(hash).finish()
const hashed = (): Buffer =>
  new WireWriter().raw(envelope('sha512')).string(createHash('sha512').update(data).digest()).finish()

async function keygenVerifies(blob: Buffer, signature: Buffer): Promise<boolean> {
  const directory = temporaryDirectory()
  const file = new WireWriter()
    .raw(Buffer.from('SSHSIG'))
    .u32(1)
    .string(blob)
    .raw(envelope('sha512').subarray(6))
    .string(signature)
    .finish()
  const lines = file.toString('base64').match(/.{1,70}/g) ?? []
  const armoured = ['-----BEGIN SSH SIGNATURE-----', ...lines, '-----END SSH SIGNATURE-----', '']
  writeFileSync(join(directory, 'sig'), armoured.join('\n'))
  writeFileSync(join(directory, 'signers'), `me ${formatAuthorizedKey(blob)}\n`)
  const args = ['-Y', 'verify', '-f', 'signers', '-I', 'me', '-n', 'file', '-s', 'sig']
  return (await run('ssh-keygen', args, {cwd: directory, input: data})).code === 0
}

test.each(keyTypes)('ssh-keygen verifies our %s signature', async type => {
  const key = newPrivateKey(type)
  const blob = publicKeyBlob(key)
  const signature = signData(key, hashed())
  expect(await keygenVerifies(blob, signature)).toBe(true)
  expect(verifySignature(blob, hashed(), signature)).toBe(true)
})

test.each(keyTypes)('a signature of ssh-keygen with %s verifies', async type => {
  const directory = temporaryDirectory()
  const bits = {ed25519: [], p256: ['-b', '256'], p384: ['-b', '384'], p521: ['-b', '521'], rsa: []}[type]
  const name = type.startsWith('p') ? 'ecdsa' : type
  const file = join(directory, 'id')
  await sshKeygen(['-q', '-t', name, ...bits, '-N', '', '-f', file])
  writeFileSync(join(directory, 'data'), data)
  await sshKeygen(['-q', '-Y', 'sign', '-f', file, '-n', 'file', join(directory, 'data')])
  const armoured = (await run('cat', [join(directory, 'data.sig')])).stdout.toString()
  const reader = new WireReader(
    Buffer.from(armoured.replace(/-----[^-]+-----|\s/g, ''), 'base64').subarray(10),
  )
  const blob = reader.string()
  for (let field = 0; field < 3; field++) reader.string()
  const signature = reader.string()
  expect(verifySignature(blob, hashed(), signature)).toBe(true)
  expect(verifySignature(blob, data, signature)).toBe(false)
})

test.each(keys.map((key, index) => [keyTypes[index], key] as const))(
  '%s signs what it can and nothing else',
  (_, key) => {
    const blob = publicKeyBlob(key)
    const own = signatureAlgorithms[new WireReader(blob).text()] ?? []
    const all = [
      ...new Set(Object.values(signatureAlgorithms).flat()),
      'ssh-rsa',
      'ssh-dss',
      'constructor',
      '',
    ]
    for (const algorithm of all) {
      if (own.includes(algorithm)) {
        const signature = signData(key, data, algorithm)
        expect(new WireReader(signature).text()).toBe(algorithm)
        expect(verifySignature(blob, data, signature)).toBe(true)
        expect(verifySignature(blob, data, signature, [algorithm])).toBe(true)
        expect(
          verifySignature(
            blob,
            data,
            signature,
            all.filter(other => other !== algorithm),
          ),
        ).toBe(false)
      } else {
        expect(() => signData(key, data, algorithm)).toThrow(expect.objectContaining({code: 'invalid_input'}))
      }
    }
  },
)

test('RSA signs with SHA-512 unless told otherwise', () => {
  expect(new WireReader(signData(rsa, data)).text()).toBe('rsa-sha2-512')
})

test('a signature by one key is not one by another', () => {
  for (const key of keys)
    for (const other of keys)
      expect(verifySignature(publicKeyBlob(other), data, signData(key, data))).toBe(key === other)
})

test('SHA-1 is refused under its own name and under others', () => {
  const signature = sign('sha1', data, rsa)
  expect(verify('sha1', data, publicKeyFromBlob(publicKeyBlob(rsa)), signature)).toBe(true)
  for (const format of ['ssh-rsa', 'rsa-sha2-256', 'rsa-sha2-512', 'ssh-rsa-cert-v01@openssh.com'])
    expect(verifySignature(publicKeyBlob(rsa), data, strings([format, signature]), ['ssh-rsa', format])).toBe(
      false,
    )
})

test('every changed bit of a signature makes it invalid', () => {
  for (const key of keys) {
    const [blob, signature] = [publicKeyBlob(key), signData(key, data)]
    fc.assert(
      fc.property(fc.nat(signature.length * 8 - 1), bit => {
        const changed = Buffer.from(signature)
        changed[bit >> 3] = (changed[bit >> 3] ?? 0) ^ (1 << (bit & 7))
        expect(verifySignature(blob, data, changed)).toBe(false)
      }),
    )
  }
})

test('whatever is called a signature, the answer is no, not an exception', () => {
  const format = fc.constantFrom(...Object.values(signatureAlgorithms).flat(), 'ssh-rsa', '__proto__')
  fc.assert(
    fc.property(fc.constantFrom(...keys), format, fc.uint8Array({maxLength: 600}), (key, name, bytes) => {
      const blob = publicKeyBlob(key)
      expect(verifySignature(blob, data, strings([name, Buffer.from(bytes)]))).toBe(false)
      expect(verifySignature(blob, data, Buffer.from(bytes))).toBe(false)
      const [r, s] = [bytes.subarray(0, bytes.length / 2), bytes.subarray(bytes.length / 2)]
      expect(verifySignature(blob, data, strings([name, strings([Buffer.from(r), Buffer.from(s)])]))).toBe(
        false,
      )
    }),
  )
})

interface SecurityKey {
  blob: Buffer
  sign(flags: number): Buffer
}

/** A FIDO authenticator in software (PROTOCOL.u2f). */
function securityKey(type: 'ed25519' | 'p256'): SecurityKey {
  const key = newPrivateKey(type)
  const inner = new WireReader(publicKeyBlob(key))
  const name = type === 'ed25519' ? 'sk-ssh-ed25519@openssh.com' : 'sk-ecdsa-sha2-nistp256@openssh.com'
  inner.string()
  const sha256 = (bytes: Buffer): Buffer => createHash('sha256').update(bytes).digest()
  return {
    blob: new WireWriter().string(name).raw(inner.rest()).string('ssh:').finish(),
    sign(flags) {
      const touch = Buffer.of(flags, 0, 0, 0, 9)
      const signed = Buffer.concat([sha256(Buffer.from('ssh:')), touch, sha256(hashed())])
      const signature = new WireReader(signData(key, signed))
      signature.string()
      return Buffer.concat([strings([name, signature.string()]), touch])
    },
  }
}

test.each(['ed25519', 'p256'] as const)('a touched FIDO key of type %s signs', async type => {
  const {blob, sign} = securityKey(type)
  expect(await keygenVerifies(blob, sign(1))).toBe(true)
  expect(verifySignature(blob, hashed(), sign(1))).toBe(true)
  expect(verifySignature(blob, hashed(), sign(5))).toBe(true)
  expect(verifySignature(blob, data, sign(1))).toBe(false)
  expect(verifySignature(blob, hashed(), sign(0)), 'nobody touched it').toBe(false)
  expect(
    verifySignature(blob, hashed(), Buffer.concat([sign(1).subarray(0, -1), Buffer.of(8)])),
    'another counter',
  ).toBe(false)
  expect(verifySignature(blob, hashed(), sign(1).subarray(0, -5)), 'no counter').toBe(false)
  expect(() => publicKeyFromBlob(blob)).toThrow(expect.objectContaining({code: 'invalid_input'}))
})

test('the key inside a FIDO key does not sign for it', () => {
  const {privateKey}: {privateKey: KeyObject} = generateKeyPairSync('ed25519')
  const inner = new WireReader(publicKeyBlob(privateKey))
  inner.string()
  const name = 'sk-ssh-ed25519@openssh.com'
  const blob = new WireWriter().string(name).raw(inner.rest()).string('ssh:').finish()
  const plain = sign(null, data, createPrivateKey(privateKey.export({type: 'pkcs8', format: 'pem'})))
  expect(verifySignature(blob, data, strings(['ssh-ed25519', plain]))).toBe(false)
  expect(verifySignature(blob, data, strings([name, plain]))).toBe(false)
})

test('an algorithm name stands for one type of blob and one format of signature, never SHA-1', () => {
  for (const [name, {blob, signature}] of Object.entries(certificateAlgorithms)) {
    expect(signatureAlgorithms[certificateTypes[blob] ?? '']).toContain(signature)
    expect(name.endsWith('-cert-v01@openssh.com')).toBe(true)
  }
  expect(certificateAlgorithms['ssh-rsa-cert-v01@openssh.com']).toBeUndefined()
  for (const type of Object.keys(certificateTypes))
    expect(certificateAlgorithms[algorithmForCertificate(type)]?.blob).toBe(type)
  for (const name of hostCertificateAlgorithms) expect(certificateAlgorithms[name]).toBeDefined()
})

test('names that every object has are in no table', () => {
  for (const name of ['constructor', '__proto__', 'toString', 'hasOwnProperty']) {
    for (const table of [certificateAlgorithms, certificateTypes, signatureAlgorithms]) {
      expect(table[name]).toBeUndefined()
      expect(name in table).toBe(false)
    }
  }
})

test('nobody can add to the tables', () => {
  expect(() => Object.assign(certificateTypes, {x: 'ssh-rsa'})).toThrow(TypeError)
})
