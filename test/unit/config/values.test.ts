import fc from 'fast-check'
import {describe, expect, test} from 'vitest'
import {parseAddress, parseDuration} from '../../../src/lib/config/index.js'
import {parseSize} from '../../../src/lib/config/values.js'
import {formatAddress} from '../../../src/lib/names/index.js'

describe('durations', () => {
  test.each([
    ['30s', 30_000],
    ['5m', 300_000],
    ['1h30m', 5_400_000],
    ['1m0s', 60_000],
    ['250ms', 250],
    ['2d', 172_800_000],
    ['1.5h', 5_400_000],
  ])('%s', (text, milliseconds) => expect(parseDuration(text)).toBe(milliseconds))

  test.each(['', '5', 'm', '5 m', '-5m', '5M', '1h-5m', '5m ', '9999999999999d', '1e3s'])(
    '%j is none',
    text => {
      expect(parseDuration(text)).toBeUndefined()
    },
  )
})

describe('sizes', () => {
  test.each([
    ['1GiB', 1_073_741_824],
    ['500MB', 500_000_000],
    ['1.5 KiB', 1536],
    ['7B', 7],
    ['2kB', 2000],
  ])('%s', (text, bytes) => expect(parseSize(text)).toBe(bytes))

  test.each(['', '5', 'GiB', '-1GiB', '1gib', '1TiB', '1GiB ', '99999999999GiB', '1e3MB'])(
    '%j is none',
    text => {
      expect(parseSize(text)).toBeUndefined()
    },
  )
})

describe('addresses', () => {
  test.each([
    ['0.0.0.0:3023', '0.0.0.0', 3023],
    ['localhost:0', 'localhost', 0],
    [':3080', '0.0.0.0', 3080],
    ['[::1]:22', '::1', 22],
    ['example.com', 'example.com', 99],
    ['::1', '::1', 99],
    ['[::1]', '::1', 99],
  ])('%s', (text, host, port) => expect(parseAddress(text, 99)).toEqual({host, port}))

  test.each([
    '',
    ':',
    'host:',
    'host:65536',
    'host:-1',
    'host:22x',
    'host:0x16',
    'a b:22',
    '[host]:22',
    '::1]:22',
    '1.2.3:22',
    '256.1.1.1:22',
    '0177.0.0.1:22',
    'host\u0000:22',
    '-x:22',
    'fe80::1%eth0:22x',
  ])('%j is none', text => expect(parseAddress(text, 99)).toBeUndefined())

  test('without a default port one must be named', () => {
    expect(parseAddress('host')).toBeUndefined()
    expect(parseAddress('::1')).toBeUndefined()
  })

  test('what is written is read back', () => {
    fc.assert(
      fc.property(fc.oneof(fc.ipV4(), fc.ipV6(), fc.domain()), fc.nat(65_535), (host, port) => {
        expect(parseAddress(formatAddress({host, port}))).toEqual({host, port})
      }),
    )
  })
})
