import {createPublicKey, generateKeyPairSync, type KeyObject} from 'node:crypto'
import {describe, expect, it} from 'vitest'
import {verifyIssued} from '../../../../src/lib/client/login/issued.js'
import {formatAuthorizedKey, publicKeyBlob} from '../../../../src/lib/sshcert/index.js'
import {type Forgery, forgeCertificate, signedBy, soundForgery} from '../../../support/forged-certificate.js'

const newKey = (): KeyObject => generateKeyPairSync('ed25519').privateKey
const [key, userAuthority, hostAuthority] = [newKey(), newKey(), newKey()]
const now = Date.UTC(2026, 0, 2, 3, 4, 5)
const seconds = BigInt(now / 1000)

const sound = soundForgery(key, userAuthority, seconds, 'root')
const issue = (changes: Partial<Forgery> = {}) => ({
  ...{user: 'joe', clusterName: 'test', validBefore: now},
  certificate: formatAuthorizedKey(forgeCertificate({...sound, ...changes})),
  hostAuthorities: [formatAuthorizedKey(publicKeyBlob(hostAuthority))],
})
const expected = {user: 'joe', publicKey: publicKeyBlob(key)}

describe('an issued certificate', () => {
  it('is taken when it is what was asked for', () => {
    expect(verifyIssued(issue(), expected, now)).toEqual({
      blob: forgeCertificate(sound),
      hostAuthorities: [publicKeyBlob(hostAuthority)],
    })
  })

  it('may name the user in the case of the cluster', () => {
    expect(() => verifyIssued(issue(), {...expected, user: 'Joe'}, now)).not.toThrow()
  })

  const foreign = soundForgery(newKey(), userAuthority, seconds, 'root')
  it.each<[string, Partial<Forgery>, string]>([
    ['is for another key', {subject: foreign.subject}, 'certificate_rejected'],
    ['is for another user', {keyId: 'eve'}, 'certificate_rejected'],
    ['is for a host', {kind: 2, extensions: []}, 'certificate_rejected'],
    ['names no principals', {principals: []}, 'certificate_rejected'],
    ['has an unknown critical option', {criticalOptions: [['new@example.com', '']]}, 'certificate_rejected'],
    ['ends now', {validBefore: seconds}, 'certificate_expired'],
    ['begins in ten minutes', {validAfter: seconds + 600n}, 'clock_skew'],
    ['is signed by another key', {sign: signedBy(newKey()).sign}, 'certificate_rejected'],
    ['is signed by an authority for hosts', signedBy(hostAuthority), 'certificate_rejected'],
    ['has trailing bytes', {trailing: Buffer.of(0)}, 'certificate_rejected|protocol_error'],
  ])('is refused when it %s', (_, changes, code) => {
    expect(() => verifyIssued(issue(changes), expected, now)).toThrow(
      expect.objectContaining({code: expect.stringMatching(`^(${code})$`)}),
    )
  })

  it('is refused when the answer names somebody else', () => {
    expect(() => verifyIssued({...issue(), user: 'eve'}, expected, now)).toThrow(
      expect.objectContaining({code: 'certificate_rejected'}),
    )
  })

  it('is refused when it is no certificate, or brings authorities that are no keys', () => {
    const plain = {...issue(), certificate: formatAuthorizedKey(publicKeyBlob(createPublicKey(key)))}
    expect(() => verifyIssued(plain, expected, now)).toThrow(
      expect.objectContaining({code: 'certificate_rejected'}),
    )
    const broken = {...issue(), hostAuthorities: ['ssh-ed25519 AAAA\nssh-ed25519 BBBB']}
    expect(() => verifyIssued(broken, expected, now)).toThrow(
      expect.objectContaining({code: 'invalid_input'}),
    )
  })
})
