import fc from 'fast-check'
import {expect, test} from 'vitest'
import {formatAddress, hostOfAddress, splitAddress} from '../../../src/lib/names/index.js'

test.each([
  ['db1:22', {host: 'db1', port: 22}],
  ['192.0.2.7:65535', {host: '192.0.2.7', port: 65_535}],
  ['[2001:db8::7]:3022', {host: '2001:db8::7', port: 3022}],
])('%s is a host and a port', (text, address) => {
  expect(splitAddress(text)).toEqual(address)
  expect(formatAddress(address)).toBe(text)
  expect(hostOfAddress(text)).toBe(address.host)
})

test.each([
  '',
  'db1',
  'db1:',
  ':22',
  'db1:0',
  'db1:65536',
  'db1:22:22',
  '2001:db8::7:22',
  '[::1]',
  '[db1]:22',
  'joe@db1:22',
  'db 1:22',
  '[fe80::1%eth0]:22',
  `${'a'.repeat(254)}:22`,
])('%j is none', text => expect(splitAddress(text)).toBeUndefined())

test('every address comes back as it was written', () => {
  const host = fc.oneof(fc.domain(), fc.ipV4(), fc.ipV6())
  fc.assert(
    fc.property(host, fc.integer({min: 1, max: 65_535}), (name, port) => {
      expect(splitAddress(formatAddress({host: name, port}))).toEqual({host: name, port})
    }),
  )
})
