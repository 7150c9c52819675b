import {generateKeyPairSync} from 'node:crypto'
import {describe, expect, test} from 'vitest'
import {checkIssuance, type IssuanceRequest} from '../../../src/lib/pki/index.js'
import {publicKeyBlob, WireWriter} from '../../../src/lib/sshcert/index.js'
import {ed25519Blob, now, open, second} from './fixture.js'

const publicKey = ed25519Blob()
const good: IssuanceRequest = {
  kind: 'user',
  keyId: 'alice',
  publicKey,
  principals: ['root', 'alice'],
  validAfter: second - 60n,
  validBefore: second + 3600n,
}
const authority = ed25519Blob()
const check = (changes: Partial<IssuanceRequest>) => () =>
  checkIssuance({...good, ...changes}, {now, maxTtlSeconds: 30 * 3600, authorities: [authority]})

const rsaBlob = (modulusLength: number, publicExponent = 65_537): Buffer =>
  publicKeyBlob(generateKeyPairSync('rsa', {modulusLength, publicExponent}).publicKey)
const fidoBlob = (): Buffer =>
  new WireWriter().string('sk-ssh-ed25519@openssh.com').raw(publicKey.subarray(-36)).string('ssh:').finish()

const accepted: Record<string, Partial<IssuanceRequest>> = {
  'an ordinary request': {},
  'the longest validity': {validBefore: second + 30n * 3600n},
  'a certificate for later': {validAfter: second + 60n},
  '256 principals': {principals: Array.from({length: 256}, (_, index) => `user${index}`)},
  'a key id of 256 bytes': {keyId: 'ü'.repeat(128)},
  'addresses as principals': {kind: 'host', principals: ['localhost', '127.0.0.1', '::1', 'a.b']},
  'RSA of 2048 bits': {publicKey: rsaBlob(2048)},
  'a FIDO key for a person': {publicKey: fidoBlob()},
}

const refused: Record<string, Partial<IssuanceRequest>> = {
  'no principals': {principals: []},
  'an empty principal': {principals: ['root', '']},
  'a principal with a comma': {principals: ['root,alice']},
  'a principal with NUL': {principals: ['root\0']},
  'a principal with a space': {principals: ['root alice']},
  'a principal with a trailing space': {principals: ['root ']},
  'a principal with a line end': {principals: ['root\n']},
  'a principal with an escape sequence': {principals: ['\x1b[2Jroot']},
  'any principal': {principals: ['*']},
  'a pattern': {principals: ['web?', '*.example']},
  'a lookalike of another principal': {principals: ['r\u043eot']},
  'a principal of 256 bytes': {principals: ['a'.repeat(256)]},
  '257 principals': {principals: Array.from({length: 257}, (_, index) => `user${index}`)},
  'an empty key id': {keyId: ''},
  'a key id over 256 bytes': {keyId: 'ü'.repeat(129)},
  'a key id with a line end': {keyId: 'alice\nroot'},
  'a key id with NUL': {keyId: 'alice\0'},
  'a key id that turns the direction of text': {keyId: 'alice\u202e'},
  'a key id of half a character': {keyId: 'alice\ud800'},
  'a second over the longest validity': {validBefore: second + 30n * 3600n + 1n},
  'for ever': {validBefore: 2n ** 64n - 1n},
  'beyond 64 bits': {validBefore: 2n ** 64n},
  'ending before it begins': {validAfter: second + 100n, validBefore: second + 99n},
  'ending as it begins': {validAfter: second + 100n, validBefore: second + 100n},
  'beginning before 1970': {validAfter: -1n},
  'expired this second': {validBefore: second},
  'RSA of 1024 bits': {publicKey: rsaBlob(1024)},
  'RSA with the exponent 1': {
    publicKey: new WireWriter().string('ssh-rsa').mpint(Buffer.of(1)).mpint(Buffer.alloc(256, 0xff)).finish(),
  },
  DSA: {publicKey: new WireWriter().string('ssh-dss').string('').finish()},
  'no key at all': {publicKey: Buffer.alloc(0)},
  'half a key': {publicKey: publicKey.subarray(0, 30)},
  'a key with more after it': {publicKey: Buffer.concat([publicKey, Buffer.alloc(8)])},
  'a FIDO key for a host': {kind: 'host', publicKey: fidoBlob()},
  'a key of an authority': {publicKey: authority},
}

describe('issuance accepts', () => {
  test.each(Object.entries(accepted))('%s', (_, changes) => expect(check(changes)).not.toThrow())
})

describe('issuance refuses', () => {
  test.each(Object.entries(refused))('%s', (_, changes) => {
    expect(check(changes)).toThrow(expect.objectContaining({code: 'invalid_input'}))
  })

  test('a certificate in place of a key', async () => {
    const authorities = await open()
    const certificate = await authorities.issueHost({
      ...{principals: ['web'], publicKey, keyId: 'web', validBefore: second + 60n},
    })
    expect(check({publicKey: certificate})).toThrow(expect.objectContaining({code: 'invalid_input'}))
  })

  test('and says in one line, without control characters, what was wrong', () => {
    expect(check({principals: ['\x1b[2J\nroot']})).toThrow(/^[\x20-\x7e]+$/)
  })
})
