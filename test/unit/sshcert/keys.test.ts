import {spawnSync} from 'node:child_process'
import {generateKeyPairSync, type KeyObject} from 'node:crypto'
import {readFileSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {fileURLToPath} from 'node:url'
import {inspect} from 'node:util'
import {expect, test} from 'vitest'
import {
  fingerprint,
  formatAuthorizedKey,
  formatPrivateKey,
  parseAuthorizedKey,
  parsePrivateKey,
  publicKeyBlob,
  publicKeyFromBlob,
  signData,
  verifySignature,
  WireWriter,
} from '../../../src/lib/sshcert/index.js'
import {keyTypes, newPrivateKey, strings} from '../../support/forged-certificate.js'
import {sshKeygen, writePrivateFile} from '../../support/openssh.js'
import {temporaryDirectory} from '../../support/temporary-directory.js'

const directory = temporaryDirectory()
const keygenTypes = {
  ed25519: ['-t', 'ed25519'],
  p256: ['-t', 'ecdsa', '-b', '256'],
  p384: ['-t', 'ecdsa', '-b', '384'],
  p521: ['-t', 'ecdsa', '-b', '521'],
  rsa: ['-t', 'rsa', '-b', '2048'],
} as const
const work = Buffer.from('work')
const worksTogether = (publicBlob: Buffer, key: KeyObject): boolean =>
  verifySignature(publicBlob, work, signData(key, work))

test.each(keyTypes)('ssh-keygen reads our %s key file and finds the same key in it', async type => {
  const key = newPrivateKey(type)
  const file = writePrivateFile(join(directory, `ours-${type}`), formatPrivateKey(key, 'me@here'))
  const shown = await sshKeygen(['-y', '-P', '', '-f', file])
  expect(shown.trim()).toBe(formatAuthorizedKey(publicKeyBlob(key), 'me@here'))
  expect(await sshKeygen(['-l', '-f', file])).toContain(` ${fingerprint(publicKeyBlob(key))} me@here`)
})

test.each(keyTypes)('a %s key file of ssh-keygen is read', async type => {
  const file = join(directory, `theirs-${type}`)
  await sshKeygen(['-q', '-N', '', '-C', 'me', '-f', file, ...keygenTypes[type]])
  const key = parsePrivateKey(readFileSync(file, 'utf8'))
  const {blob, comment} = parseAuthorizedKey(readFileSync(`${file}.pub`, 'utf8'))
  expect(comment).toBe('me')
  expect(publicKeyBlob(key)).toEqual(blob)
  expect(publicKeyBlob(publicKeyFromBlob(blob))).toEqual(blob)
  expect(worksTogether(blob, key)).toBe(true)
})

test.each(keyTypes)('ssh-keygen writes our %s key file again and the key stays the same', async type => {
  const key = newPrivateKey(type)
  const file = writePrivateFile(join(directory, `again-${type}`), formatPrivateKey(key, ''))
  await sshKeygen(['-q', '-p', '-P', '', '-N', '', '-f', file])
  expect(parsePrivateKey(readFileSync(file, 'utf8')).equals(key)).toBe(true)
})

test.each(['PEM', 'PKCS8'])('a %s key file of ssh-keygen is read', async format => {
  for (const type of ['rsa', 'p256', 'p521'] as const) {
    const file = join(directory, `${format}-${type}`)
    await sshKeygen(['-q', '-N', '', '-m', format, '-f', file, ...keygenTypes[type]])
    const {blob} = parseAuthorizedKey(readFileSync(`${file}.pub`, 'utf8'))
    expect(worksTogether(blob, parsePrivateKey(readFileSync(file, 'utf8')))).toBe(true)
  }
})

test('many key files survive the round trip, with scalars that have leading zeros among them', () => {
  for (let count = 0; count < 300; count++) {
    const key = newPrivateKey('p521')
    expect(parsePrivateKey(formatPrivateKey(key, 'x'.repeat(count % 9))).equals(key)).toBe(true)
  }
})

const pem = formatPrivateKey(newPrivateKey('ed25519'), 'me')
const rsaPem = (bits: number): string =>
  generateKeyPairSync('rsa', {modulusLength: bits})
    .privateKey.export({type: 'pkcs8', format: 'pem'})
    .toString()
/** The file with its decoded bytes changed. */
const edited = (change: (file: Buffer) => Buffer): string => {
  const [first = '', ...rest] = pem.trim().split('\n')
  const last = rest.pop() ?? ''
  return [first, change(Buffer.from(rest.join(''), 'base64')).toString('base64'), last, ''].join('\n')
}

const flipped = (bytes: Buffer, at: number): Buffer =>
  bytes.map((byte, index) => (index === at ? byte ^ 2 : byte)) as Buffer

test.each<[string, () => string]>([
  ['nothing', () => ''],
  ['a public key', () => formatAuthorizedKey(publicKeyBlob(newPrivateKey('ed25519')))],
  ['a file without its end', () => pem.split('\n').slice(0, -2).join('\n')],
  ['a file cut short', () => edited(file => file.subarray(0, -20))],
  ['a file with a byte behind it', () => edited(file => Buffer.concat([file, Buffer.of(0)]))],
  ['a file with wrong padding', () => edited(file => Buffer.concat([file.subarray(0, -1), Buffer.of(9)]))],
  ['a file whose check numbers differ', () => edited(file => flipped(file, 98))],
  ['a file with the public half of another key', () => edited(file => flipped(file, 70))],
  ['a file that holds two keys', () => edited(file => flipped(file, 38))],
  ['a weak RSA key', () => rsaPem(1024)],
  [
    'a DSA key',
    () =>
      generateKeyPairSync('dsa', {modulusLength: 1024, divisorLength: 160})
        .privateKey.export({type: 'pkcs8', format: 'pem'})
        .toString(),
  ],
  [
    'an RSA-PSS key',
    () =>
      generateKeyPairSync('rsa-pss', {modulusLength: 2048})
        .privateKey.export({type: 'pkcs8', format: 'pem'})
        .toString(),
  ],
  [
    'an X25519 key',
    () => generateKeyPairSync('x25519').privateKey.export({type: 'pkcs8', format: 'pem'}).toString(),
  ],
  [
    'a key on a curve SSH does not have',
    () =>
      generateKeyPairSync('ec', {namedCurve: 'secp256k1'})
        .privateKey.export({type: 'pkcs8', format: 'pem'})
        .toString(),
  ],
  ['a megabyte', () => pem + '\n'.repeat(1 << 20)],
])('%s is not taken for a private key', (_, file) => {
  expect(() => parsePrivateKey(file())).toThrow(expect.objectContaining({code: 'invalid_input'}))
})

test('an encrypted key file is refused with a hint', async () => {
  const file = join(directory, 'encrypted')
  await sshKeygen(['-q', '-t', 'ed25519', '-N', 'secret', '-f', file])
  expect(() => parsePrivateKey(readFileSync(file, 'utf8'))).toThrow(
    expect.objectContaining({code: 'invalid_input', hint: expect.stringContaining('unencrypted')}),
  )
})

test('what is wrong with a private key never quotes it', () => {
  const quoted = pem.split('\n')[3] ?? ''
  const broken = edited(file => flipped(file, 98))
  expect(broken).toContain(quoted)
  let refusal: unknown
  try {
    parsePrivateKey(broken)
  } catch (error) {
    refusal = error
  }
  expect(inspect(refusal, {depth: 9})).toContain('the check numbers differ')
  expect(inspect(refusal, {depth: 9})).not.toContain(quoted)
})

test.each([2047, 16_385])('an RSA key of %i bits is refused at once', bits => {
  const modulus = Buffer.from(
    (2n ** BigInt(bits) - 1n).toString(16).padStart(Math.ceil(bits / 8) * 2, '0'),
    'hex',
  )
  const blob = new WireWriter()
    .string('ssh-rsa')
    .mpint(Buffer.of(1, 0, 1))
    .mpint(modulus)
    .finish()
  expect(() => publicKeyFromBlob(blob)).toThrow(`this one has ${bits}`)
})

test.each([2048, 16_384])('an RSA key of %i bits is taken', bits => {
  const modulus = Buffer.from((2n ** BigInt(bits) - 1n).toString(16), 'hex')
  const blob = new WireWriter()
    .string('ssh-rsa')
    .mpint(Buffer.of(1, 0, 1))
    .mpint(modulus)
    .finish()
  expect(publicKeyFromBlob(blob).asymmetricKeyDetails).toMatchObject({modulusLength: bits})
})

test.each([[[1]], [[2]], [[1, 0, 0]], [[1, 0, 0, 0, 1]], [[]]])(
  'an RSA key with exponent bytes %j is refused',
  bytes => {
    const modulus = Buffer.alloc(256, 0xff)
    const blob = new WireWriter().string('ssh-rsa').mpint(Buffer.from(bytes)).mpint(modulus).finish()
    expect(() => publicKeyFromBlob(blob)).toThrow('unsafe exponent')
  },
)

const key = publicKeyBlob(newPrivateKey('ed25519'))
const line = formatAuthorizedKey(key)

test('a comment from elsewhere cannot add a line', () => {
  expect(formatAuthorizedKey(key, 'me\nssh-ed25519 AAAA\u001b[2J \t')).toBe(`${line} me ssh-ed25519 AAAA [2J`)
})

test('a blob whose type is no name makes no line', () => {
  for (const type of ['', 'a b', 'a\nb'])
    expect(() => formatAuthorizedKey(strings([type]))).toThrow(
      expect.objectContaining({code: 'invalid_input'}),
    )
})

test('a public key line may have a comment with blanks', () => {
  expect(parseAuthorizedKey(`  ${line}\t me at work \r\n`)).toEqual({
    type: 'ssh-ed25519',
    blob: key,
    comment: 'me at work',
  })
  expect(parseAuthorizedKey(line).comment).toBe('')
})

test.each([
  ['nothing', ''],
  ['a type alone', 'ssh-ed25519'],
  ['options before the type', `no-pty ${line}`],
  ['a type that is not in the data', line.replace('ssh-ed25519', 'ssh-rsa')],
  ['a type that is the beginning of the one in the data', line.replace('ssh-ed25519', 'ssh-ed2551')],
  ['data that is too short for a type', 'ssh-rsa AAAA'],
  ['data in base64url', line.replace(/.$/, '_')],
  ['two lines', `${line}\n${line}`],
  ['a comment with a line end', `${line} me\nother`],
  ['a megabyte', `${line} ${'x'.repeat(1 << 20)}`],
])('%s is not a public key line', (_, text) => {
  expect(() => parseAuthorizedKey(text)).toThrow(expect.objectContaining({code: 'invalid_input'}))
})

test('ssh-keygen agrees on the fingerprint of a public key file', async () => {
  for (const type of keyTypes) {
    const blob = publicKeyBlob(newPrivateKey(type))
    const file = join(directory, 'print.pub')
    writeFileSync(file, `${formatAuthorizedKey(blob)}\n`)
    expect(await sshKeygen(['-l', '-f', file])).toContain(` ${fingerprint(blob)} `)
  }
})

test('keys that were just made are written out, whatever the garbage collector does meanwhile', () => {
  const program = fileURLToPath(new URL('../../support/export-fresh-keys.ts', import.meta.url))
  const {status} = spawnSync(process.execPath, [...process.execArgv, '--max-semi-space-size=1', program], {
    timeout: 120_000,
  })
  expect(status).toBe(0)
})
