import {describe, expect, it} from 'vitest'
import {judgeHostKey} from '../../../src/lib/forward/host-key.js'
import {type CertificateFields, parseCertificate, publicKeyBlob} from '../../../src/lib/sshcert/index.js'
import {certify, hostAuthority, newKey, userAuthority} from '../ssh/fixture.js'

const key = newKey()
const now = Date.now()
const policy = {host: 'target.test', authorities: [hostAuthority.publicBlob], check: true, now}
const presented = async (fields: Partial<CertificateFields> = {}, authority = hostAuthority) => {
  const blob = await certify(key, 'host', fields, authority)
  return {blob, certificate: parseCertificate(blob)}
}
const refused = (message: string | RegExp) =>
  expect.objectContaining({code: 'host_key_refused', message: expect.stringMatching(message)})

describe('the host key of a target', () => {
  it('passes as a certificate of the host CA for the name asked for', async () => {
    const good = await presented()
    expect(() => judgeHostKey(good, policy)).not.toThrow()
  })

  it('is refused in the words people look for when it is no certificate', () => {
    const plain = {blob: publicKeyBlob(key)}
    expect(() => judgeHostKey(plain, policy)).toThrow(
      refused(/^remote host presented a public key, expected a host certificate$/),
    )
  })

  it.each<[string, Partial<CertificateFields>, RegExp]>([
    ['another name', {principals: ['other.test']}, /not among its principals/],
    ['a part of the name', {principals: ['target']}, /not among its principals/],
    ['the name in other letters', {principals: ['TARGET.test']}, /not among its principals/],
    ['a user', {kind: 'user'}, /it is for a user/],
    ['a time that is over', {validBefore: BigInt(Math.floor(now / 1000))}, /expired/],
    ['a time to come', {validAfter: BigInt(Math.floor(now / 1000) + 3000)}, /not valid/],
    ['an option nobody knows', {criticalOptions: new Map([['x', 'y']])}, /critical options/],
  ])('is refused when the certificate is for %s', async (_name, fields, why) => {
    const bad = await presented(fields)
    expect(() => judgeHostKey(bad, policy)).toThrow(refused(why))
    expect(() => judgeHostKey(bad, {...policy, check: false})).not.toThrow()
  })

  it('is refused when another authority signed it, be it the user CA', async () => {
    const bad = await presented({}, userAuthority)
    expect(() => judgeHostKey(bad, policy)).toThrow(refused(/unknown authority/))
  })
})
