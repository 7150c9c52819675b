import fc from 'fast-check'
import {expect, test} from 'vitest'
import {SallyportError} from '../../../src/lib/errors/index.js'
import {
  blobType,
  checkCertificate,
  formatAuthorizedKey,
  formatPrivateKey,
  parseAuthorizedKey,
  parseCertificate,
  parsePrivateKey,
  publicKeyBlob,
  publicKeyFromBlob,
  signData,
  WireReader,
  WireWriter,
} from '../../../src/lib/sshcert/index.js'
import {
  type Forgery,
  forgeCertificate,
  keyTypes,
  newPrivateKey,
  soundForgery,
} from '../../support/forged-certificate.js'

const now = 1_800_000_000n
const keys = keyTypes.map(newPrivateKey)
const [authority = newPrivateKey('ed25519')] = keys
const policy = {
  kind: 'user',
  authorities: keys.map(publicKeyBlob),
  principal: 'root',
  now: Number(now) * 1000,
  remoteAddress: '127.0.0.1',
} as const

const rich: Partial<Forgery> = {
  principals: ['joe', 'root', 'ec2-user'],
  criticalOptions: [
    ['force-command', 'id'],
    ['source-address', '127.0.0.0/8,::1'],
  ],
  extensions: [
    ['permit-agent-forwarding', ''],
    ['roles@example.com', '{"roles":["access"]}'],
  ],
}
/** One of each kind of key, each by another kind of authority. */
const sound = keys.map((subject, index) =>
  forgeCertificate({...soundForgery(subject, keys.at(index - 1) ?? subject, now, 'root'), ...rich}),
)

/** Whether it was accepted; anything but a coded error escapes and fails the test. */
function accepted(act: () => unknown): boolean {
  try {
    act()
    return true
  } catch (error) {
    if (error instanceof SallyportError) return false
    throw error
  }
}
const admits = (blob: Buffer): boolean => accepted(() => checkCertificate(parseCertificate(blob), policy))

/** The bytes with one stretch of them replaced by others: flips, cuts, repetitions, insertions, wrong lengths. */
const mutation = (bytes: Buffer): fc.Arbitrary<Buffer> =>
  fc
    .tuple(
      fc.nat(bytes.length),
      fc.nat(bytes.length),
      fc.oneof(
        fc.uint8Array({maxLength: 40}),
        fc.constantFrom([0, 0, 0, 0], [255, 255, 255, 255], [0, 0, 0, 1], [127, 255, 255, 255], [0], []),
        fc
          .tuple(fc.nat(bytes.length), fc.nat(60))
          .map(([from, length]) => bytes.subarray(from, from + length)),
      ),
      fc.boolean(),
    )
    .map(([one, other, replacement, overwrite]) => {
      const start = Math.min(one, other)
      const end = overwrite ? start + replacement.length : Math.max(one, other)
      return Buffer.concat([bytes.subarray(0, start), Buffer.from(replacement), bytes.subarray(end)])
    })

const anyMutation = fc.constantFrom(...sound).chain(mutation)

test('the certificates that are going to be broken are sound', () => {
  expect(sound.map(admits)).toEqual(sound.map(() => true))
})

test('no byte of a certificate can be changed, whichever it is', () => {
  fc.assert(
    fc.property(fc.integer({min: 1, max: 255}), mask => {
      for (const blob of sound.slice(0, 1)) {
        for (let index = 0; index < blob.length; index++) {
          const changed = Buffer.from(blob)
          changed[index] = (changed[index] ?? 0) ^ mask
          if (admits(changed)) throw new Error(`byte ${index} may be changed by ${mask}`)
        }
      }
    }),
    {numRuns: 12},
  )
  const spot = fc.tuple(fc.constantFrom(...sound), fc.nat(), fc.integer({min: 1, max: 255}))
  fc.assert(
    fc.property(spot, ([blob, at, mask]) => {
      const changed = Buffer.from(blob)
      const index = at % blob.length
      changed[index] = (changed[index] ?? 0) ^ mask
      expect(admits(changed)).toBe(false)
    }),
    {numRuns: 1000},
  )
})

test('no beginning of a certificate is one', () => {
  for (const blob of sound) {
    for (let length = 0; length < blob.length; length++) {
      if (admits(blob.subarray(0, length))) throw new Error(`${length} bytes are enough`)
    }
  }
})

test('a mutated certificate is refused with a coded error', () => {
  fc.assert(
    fc.property(anyMutation, blob => {
      expect(admits(blob)).toBe(sound.some(original => original.equals(blob)))
    }),
    {numRuns: 5000},
  )
})

test('a mutated certificate that the authority signs is refused with a coded error or means one thing only', () => {
  const bare = soundForgery(authority, authority, now, 'root')
  const originals = [bare, {...bare, ...rich}].map(forgery => parseCertificate(forgeCertificate(forgery)).tbs)
  const seen = {parsed: 0, admitted: 0}
  fc.assert(
    fc.property(fc.constantFrom(...originals).chain(mutation), tbs => {
      const blob = new WireWriter().raw(tbs).string(signData(authority, tbs)).finish()
      accepted(() => {
        const certificate = parseCertificate(blob)
        seen.parsed++
        expect(parts(certificate)).toEqual(canonical(certificate.tbs))
      })
      if (!admits(blob)) return
      seen.admitted++
      expect(parseCertificate(blob).tbs).toEqual(tbs)
    }),
    {numRuns: 5000},
  )
  expect(seen.parsed).toBeGreaterThan(seen.admitted)
  expect(seen.admitted).toBeGreaterThan(100)
})

/** The fields of an Ed25519 certificate as a second, independent reader sees them. */
function canonical(tbs: Buffer): unknown {
  const reader = new WireReader(tbs)
  const text = (): string => reader.string().toString('utf8')
  const list = (): string[] => {
    const names: string[] = []
    for (const inner = new WireReader(reader.string()); inner.remaining() > 0; )
      names.push(inner.string().toString('utf8'))
    return names
  }
  const names = (options: string[]): string[] => options.filter((_, index) => index % 2 === 0)
  reader.string()
  reader.string()
  const key = reader.string()
  const fields = {
    serial: reader.u64(),
    kind: reader.u32() === 1 ? 'user' : 'host',
    keyId: text(),
    principals: list(),
  }
  const validity = {validAfter: reader.u64(), validBefore: reader.u64()}
  const critical = names(list())
  return {key, ...fields, ...validity, critical}
}

const parts = (certificate: ReturnType<typeof parseCertificate>): unknown => {
  const {serial, kind, keyId, principals, validAfter, validBefore, criticalOptions} = certificate
  const key = new WireReader(certificate.publicKey)
  key.string()
  const critical = [...criticalOptions.keys()]
  return {key: key.string(), serial, kind, keyId, principals, validAfter, validBefore, critical}
}

test('random bytes under a certificate’s name are refused with a coded error', () => {
  const types = [...sound.map(blobType), 'constructor', '__proto__', 'sk-ssh-ed25519-cert-v01@openssh.com']
  fc.assert(
    fc.property(fc.constantFrom(...types), fc.uint8Array({maxLength: 400}), (type, bytes) => {
      expect(admits(Buffer.from(bytes))).toBe(false)
      expect(admits(new WireWriter().string(type).raw(Buffer.from(bytes)).finish())).toBe(false)
    }),
    {numRuns: 3000},
  )
})

test('a mutated public key is refused with a coded error or is a key', () => {
  fc.assert(
    fc.property(fc.constantFrom(...policy.authorities).chain(mutation), blob => {
      accepted(() => {
        expect(publicKeyBlob(publicKeyFromBlob(blob))).toEqual(blob)
      })
    }),
    {numRuns: 5000},
  )
})

test('a mutated private key file is refused with a coded error or is a key', () => {
  const files = keys.map(key => Buffer.from(formatPrivateKey(key, 'me')))
  const decoded = files.map(file => Buffer.from(file.toString().replace(/-----[^-]+-----|\s/g, ''), 'base64'))
  const armoured = (bytes: Buffer): string =>
    `-----BEGIN OPENSSH PRIVATE KEY-----\n${bytes.toString('base64')}\n-----END OPENSSH PRIVATE KEY-----\n`
  const inside = fc
    .constantFrom(...decoded)
    .chain(mutation)
    .map(armoured)
  const outside = fc
    .constantFrom(...files)
    .chain(mutation)
    .map(String)
  fc.assert(
    fc.property(fc.oneof(inside, outside), file => {
      accepted(() => parsePrivateKey(file))
    }),
    {numRuns: 2000},
  )
})

test('a mutated public key line is refused with a coded error or says what it is', () => {
  const lines = policy.authorities.map(blob => Buffer.from(formatAuthorizedKey(blob, 'me')))
  fc.assert(
    fc.property(
      fc.oneof(
        fc
          .constantFrom(...lines)
          .chain(mutation)
          .map(String),
        fc.string({unit: 'binary'}),
      ),
      line => {
        accepted(() => {
          const {type, blob} = parseAuthorizedKey(line)
          expect(blobType(blob)).toBe(type)
          expect(formatAuthorizedKey(blob)).not.toMatch(/[\r\n]/)
        })
      },
    ),
    {numRuns: 3000},
  )
})
