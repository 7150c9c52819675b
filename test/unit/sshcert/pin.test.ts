import fc from 'fast-check'
import {describe, expect, test} from 'vitest'
import {checkCertificate, parseCertificate, pinTo} from '../../../src/lib/sshcert/index.js'
import {pinAllows} from '../../../src/lib/sshcert/pin.js'
import {certify, newKey, userAuthority} from '../ssh/fixture.js'

const name = 'pin-source-ip@sallyport'
const pinned = (value: string) => ({extensions: new Map([[name, value]])})

describe('a pin', () => {
  test.each([
    ['192.0.2.7', '192.0.2.7'],
    ['::ffff:192.0.2.7', '192.0.2.7'],
    ['::FFFF:c000:207', '192.0.2.7'],
    ['2001:DB8::1', '2001:db8:0:0:0:0:0:1'],
    ['::1', '0:0:0:0:0:0:0:1'],
  ])('to %s is one to %s', (address, value) => {
    expect(pinTo(address)).toEqual([name, value])
  })

  test.each([
    '',
    'local',
    'localhost',
    'fe80::1%eth0',
    '192.0.2.7:22',
    '192.0.2.0/24',
    '192.0.2.7,::1',
    '[::1]',
    '0x7f.1',
  ])('to %j cannot be made', address => {
    expect(pinTo(address)).toBeUndefined()
  })

  test.each([
    ['192.0.2.7', '192.0.2.7', true],
    ['192.0.2.7', '::ffff:192.0.2.7', true],
    ['192.0.2.7', '192.0.2.8', false],
    ['192.0.2.7', '192.0.2.7:22', false],
    ['192.0.2.7', undefined, false],
    ['192.0.2.7', '', false],
    ['2001:db8:0:0:0:0:0:1', '2001:db8::1', true],
    ['2001:db8:0:0:0:0:0:1', '2001:db8::1%eth0', false],
    ['2001:db8:0:0:0:0:0:1', '2001:db8::2', false],
    // Only what the auth service writes.
    ['192.0.2.0/24', '192.0.2.7', false],
    ['0.0.0.0/0', '192.0.2.7', false],
    ['192.0.2.7,192.0.2.8', '192.0.2.8', false],
    ['', '192.0.2.7', false],
    ['', undefined, false],
    ['::ffff:192.0.2.7', '192.0.2.7', false],
  ])('to %j lets %j in: %j', (value, from, allowed) => {
    expect(pinAllows(pinned(value), from)).toBe(allowed)
  })

  test('that is none lets everybody in', () => {
    expect(pinAllows({extensions: new Map()}, undefined)).toBe(true)
  })

  test('lets in the address it was made for and no other, however both are written', () => {
    const spelled = fc.oneof(
      fc.ipV4(),
      fc.ipV4().map(address => `::ffff:${address}`),
      fc.ipV6(),
    )
    fc.assert(
      fc.property(spelled, spelled, (one, other) => {
        const pin = pinTo(one)
        if (!pin) throw new Error(`${one} is an address`)
        const certificate = {extensions: new Map([pin])}
        expect(pinAllows(certificate, one)).toBe(true)
        expect(pinAllows(certificate, other)).toBe(pinTo(other)?.[1] === pin[1])
      }),
    )
  })
})

test('a pinned certificate is believed from its address, nowhere else, and not where nobody can say', async () => {
  const certificate = parseCertificate(await certify(newKey(), 'user', pinned('192.0.2.7')))
  const policy = {kind: 'user', authorities: [userAuthority.publicBlob], now: Date.now()} as const
  expect(() => checkCertificate(certificate, {...policy, remoteAddress: '::ffff:192.0.2.7'})).not.toThrow()
  expect(() => checkCertificate(certificate, {...policy, remoteAddress: '192.0.2.8'})).toThrow(
    'certificate rejected: it is good from the address of its login alone, and this connection comes from 192.0.2.8',
  )
  expect(() => checkCertificate(certificate, policy)).toThrow('comes from an unknown address')
  expect(() => checkCertificate(certificate, {...policy, fromAnywhere: true})).not.toThrow()
})
