import {readFileSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import fc from 'fast-check'
import {expect, test} from 'vitest'
import {
  type CertificateFields,
  checkCertificate,
  fingerprint,
  formatAuthorizedKey,
  formatPrivateKey,
  issueCertificate,
  parseAuthorizedKey,
  parseCertificate,
  publicKeyBlob,
  type Signer,
  signerFromKey,
  WireWriter,
} from '../../../src/lib/sshcert/index.js'
import {
  forgeCertificate,
  type KeyType,
  keyTypes,
  newPrivateKey,
  soundForgery,
} from '../../support/forged-certificate.js'
import {sshKeygen, writePrivateFile} from '../../support/openssh.js'
import {temporaryDirectory} from '../../support/temporary-directory.js'

const keys = Object.fromEntries(keyTypes.map(type => [type, newPrivateKey(type)])) as Record<
  KeyType,
  ReturnType<typeof newPrivateKey>
>
const pairs = keyTypes.flatMap(subject => keyTypes.map(authority => ({subject, authority})))
const directory = temporaryDirectory()
const now = BigInt(Math.floor(Date.now() / 1000))

const fields: CertificateFields = {
  publicKey: publicKeyBlob(keys.ed25519),
  kind: 'user',
  serial: 42n,
  keyId: 'joe@example.com',
  principals: ['root', 'ec2-user'],
  validAfter: now - 60n,
  validBefore: now + 3600n,
}

test.each(pairs)('ssh-keygen reads a certificate for $subject by $authority', async pair => {
  const authority = signerFromKey(keys[pair.authority])
  const blob = await issueCertificate(
    {
      ...fields,
      publicKey: publicKeyBlob(keys[pair.subject]),
      criticalOptions: new Map([
        ['source-address', '127.0.0.0/8,::1/128'],
        ['force-command', 'id'],
      ]),
      extensions: new Map([
        ['permit-pty', ''],
        ['roles@example.com', '{"roles":["access"]}'],
      ]),
    },
    authority,
  )
  const file = join(directory, 'ours-cert.pub')
  writeFileSync(file, `${formatAuthorizedKey(blob)}\n`)
  const shown = (await sshKeygen(['-L', '-f', file])).split('\n').map(line => line.trim())
  expect(shown).toEqual(
    expect.arrayContaining([
      expect.stringMatching(new RegExp(`^Type: ${parseCertificate(blob).type} user certificate$`)),
      expect.stringContaining(fingerprint(publicKeyBlob(keys[pair.subject]))),
      expect.stringContaining(fingerprint(authority.publicBlob)),
      'Key ID: "joe@example.com"',
      'Serial: 42',
      'root',
      'ec2-user',
      'force-command id',
      'source-address 127.0.0.0/8,::1/128',
      'permit-pty',
      expect.stringContaining('roles@example.com UNKNOWN OPTION'),
    ]),
  )
})

test.each(pairs)('a certificate that ssh-keygen made for $subject by $authority verifies', async pair => {
  const place = temporaryDirectory()
  const authority = writePrivateFile(join(place, 'ca'), formatPrivateKey(keys[pair.authority], 'ca'))
  const subject = join(place, 'id.pub')
  writeFileSync(subject, formatAuthorizedKey(publicKeyBlob(keys[pair.subject]), 'me'))
  const options = [
    '-O',
    'clear',
    '-O',
    'permit-pty',
    '-O',
    'force-command=id',
    '-O',
    'source-address=10.0.0.0/8',
  ]
  const validity = ['-V', '-1m:+1h', '-n', 'root,joe', '-z', '18446744073709551615']
  await sshKeygen(['-q', '-s', authority, '-I', 'joe', ...validity, ...options, subject])
  const line = readFileSync(join(place, 'id-cert.pub'), 'utf8')
  const certificate = parseCertificate(parseAuthorizedKey(line).blob)
  expect(certificate).toMatchObject({
    kind: 'user',
    keyId: 'joe',
    serial: 18446744073709551615n,
    principals: ['root', 'joe'],
    criticalOptions: new Map([
      ['force-command', 'id'],
      ['source-address', '10.0.0.0/8'],
    ]),
    extensions: new Map([['permit-pty', '']]),
  })
  expect(certificate.publicKey).toEqual(publicKeyBlob(keys[pair.subject]))
  checkCertificate(certificate, {
    kind: 'user',
    authorities: [publicKeyBlob(keys[pair.authority])],
    principal: 'joe',
    now: Date.now(),
    remoteAddress: '10.1.2.3',
  })
})

test('a host certificate that ssh-keygen made verifies', async () => {
  const place = temporaryDirectory()
  const authority = writePrivateFile(join(place, 'ca'), formatPrivateKey(keys.rsa, 'ca'))
  writeFileSync(join(place, 'id.pub'), formatAuthorizedKey(publicKeyBlob(keys.p256)))
  const options = ['-h', '-I', 'host', '-n', 'web.example.com,::1', '-t', 'rsa-sha2-256']
  await sshKeygen(['-q', '-s', authority, ...options, join(place, 'id.pub')])
  const {blob} = parseAuthorizedKey(readFileSync(join(place, 'id-cert.pub'), 'utf8'))
  const authorities = [publicKeyBlob(keys.rsa)]
  const certificate = parseCertificate(blob)
  checkCertificate(certificate, {kind: 'host', authorities, principal: '::1', now: Date.now()})
})

const name = fc.stringMatching(/^[a-z0-9@._:\\/-]{1,40}$/)
const anyFields = fc
  .record({
    kind: fc.constantFrom('user', 'host'),
    serial: fc.bigInt({min: 0n, max: 2n ** 64n - 1n}),
    keyId: fc.string({unit: 'grapheme', maxLength: 60}).filter(text => !/\p{Cc}/u.test(text)),
    principals: fc.array(name, {minLength: 1, maxLength: 20}),
    validAfter: fc.bigInt({min: 0n, max: 2n ** 63n}),
    length: fc.bigInt({min: 1n, max: 2n ** 62n}),
    criticalOptions: fc.dictionary(
      name,
      fc.string({unit: 'grapheme'}).map(text => text.replaceAll('\0', '')),
    ),
    extensions: fc.dictionary(
      name,
      fc.string({unit: 'grapheme'}).map(text => text.replaceAll('\0', '')),
    ),
    subject: fc.constantFrom(...keyTypes),
  })
  .map(({length, subject, criticalOptions, extensions, ...rest}) => ({
    ...rest,
    validBefore: rest.validAfter + length,
    publicKey: publicKeyBlob(keys[subject]),
    criticalOptions: new Map(Object.entries(criticalOptions)),
    extensions: new Map(Object.entries(extensions)),
  }))

test('whatever is issued comes out of the parser as it went in', async () => {
  const authority = signerFromKey(keys.ed25519)
  await fc.assert(
    fc.asyncProperty(anyFields, async given => {
      expect(parseCertificate(await issueCertificate(given, authority))).toMatchObject(given)
    }),
  )
})

test('every certificate has a nonce of its own', async () => {
  const authority = signerFromKey(keys.ed25519)
  const [one, two] = [await issueCertificate(fields, authority), await issueCertificate(fields, authority)]
  expect(parseCertificate(one).nonce).toHaveLength(32)
  expect(parseCertificate(one).nonce).not.toEqual(parseCertificate(two).nonce)
})

const blob = publicKeyBlob(keys.ed25519)
const weak = new WireWriter()
  .string('ssh-rsa')
  .mpint(Buffer.of(1, 0, 1))
  .mpint(Buffer.alloc(128, 0xff))
  .finish()
/** A key followed by all the fields that would make it root's, and a string that swallows the real ones. */
const smuggler = new WireWriter()
  .raw(blob)
  .u64(1n)
  .u32(1)
  .string('admin')
  .string(new WireWriter().string('root').finish())
  .u64(0n)
  .u64(2n ** 64n - 1n)
  .string('')
  .string('')
  .u32(4096)
  .finish()
const changes: [what: string, change: Partial<CertificateFields>][] = [
  ['a key with the fields of a certificate behind it', {publicKey: smuggler}],
  ['a key with a byte behind it', {publicKey: Buffer.concat([blob, Buffer.of(0)])}],
  ['a key that is cut short', {publicKey: blob.subarray(0, -1)}],
  [
    'a key that is a certificate',
    {publicKey: forgeCertificate(soundForgery(keys.ed25519, keys.ed25519, now, 'root'))},
  ],
  ['a weak RSA key', {publicKey: weak}],
  [
    'a key of a type that is a property of every object',
    {publicKey: new WireWriter().string('constructor').finish()},
  ],
  ['an empty key', {publicKey: Buffer.alloc(0)}],
  ['no principals', {principals: []}],
  ['257 principals', {principals: Array.from({length: 257}, (_, index) => `user-${index}`)}],
  ...[
    '',
    '*',
    'ro*',
    'roo?',
    'root,joe',
    'root ',
    ' root',
    'ro ot',
    'root\0',
    'root\n',
    'rооt',
    'ｒoot',
    'x'.repeat(256),
  ].map((principal): [string, Partial<CertificateFields>] => [
    `the principal ${JSON.stringify(principal.slice(0, 20))}`,
    {principals: ['joe', principal]},
  ]),
  ['a key id with a line feed', {keyId: 'joe\nroot'}],
  ['a key id of 1 MB', {keyId: 'x'.repeat(1 << 20)}],
  ['a validity that ends as it begins', {validAfter: 5n, validBefore: 5n}],
  ['a validity that ends before it begins', {validAfter: 6n, validBefore: 5n}],
]

test.each(changes)('no certificate is issued for %s', async (_, change) => {
  await expect(issueCertificate({...fields, ...change}, signerFromKey(keys.ed25519))).rejects.toMatchObject({
    code: expect.stringMatching(/^(invalid_input|certificate_rejected|protocol_error)$/),
  })
})

test.each<[string, Signer]>([
  ['signs with another key', {...signerFromKey(keys.p256), publicBlob: publicKeyBlob(keys.ed25519)}],
  [
    'signs something else',
    {...signerFromKey(keys.p256), sign: () => signerFromKey(keys.p256).sign(Buffer.of(1))},
  ],
  [
    'is named by a certificate',
    {...signerFromKey(keys.p256), publicBlob: forgeCertificate(soundForgery(keys.p256, keys.p256, now, 'x'))},
  ],
  ['answers with nothing', {...signerFromKey(keys.p256), sign: async () => Buffer.alloc(0)}],
])('no certificate is issued by an authority that %s', async (_, authority) => {
  await expect(issueCertificate(fields, authority)).rejects.toMatchObject({code: 'invalid_input'})
})

test('no certificate is issued when the authority fails', async () => {
  const authority = {...signerFromKey(keys.p256), sign: () => Promise.reject(new Error('the KMS is down'))}
  await expect(issueCertificate(fields, authority)).rejects.toThrow('the KMS is down')
})
