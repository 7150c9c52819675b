import fc from 'fast-check'
import {expect, test} from 'vitest'
import {WireReader, WireWriter} from '../../../src/lib/sshcert/index.js'

const refusal = expect.objectContaining({code: 'protocol_error'})
const reader = (...bytes: number[]): WireReader => new WireReader(Buffer.from(bytes))

test('whatever is written is read back', () => {
  const given = fc.tuple(
    fc.nat(255),
    fc.boolean(),
    fc.nat(2 ** 32 - 1),
    fc.bigInt({min: 0n, max: 2n ** 64n - 1n}),
    fc.uint8Array(),
    fc.string({unit: 'binary'}),
    fc.bigInt({min: 0n, max: 2n ** 600n}),
  )
  fc.assert(
    fc.property(given, ([byte, flag, word, long, bytes, text, number]) => {
      const hex = number === 0n ? '' : number.toString(16)
      const magnitude = Buffer.from(hex.length % 2 ? `0${hex}` : hex, 'hex')
      const writer = new WireWriter().u8(byte).bool(flag).u32(word).u64(long).string(Buffer.from(bytes))
      const read = new WireReader(writer.string(text).mpint(magnitude).raw(Buffer.of(1, 2)).finish())
      expect([read.u8(), read.bool(), read.u32(), read.u64()]).toEqual([byte, flag, word, long])
      expect(read.string()).toEqual(Buffer.from(bytes))
      expect(read.text()).toBe(text)
      expect(read.mpint()).toEqual(magnitude)
      expect(read.remaining()).toBe(2)
      expect(read.rest()).toEqual(Buffer.of(1, 2))
      read.end()
    }),
  )
})

// The examples of RFC 4251 §5, without the negative ones.
test.each([
  ['', '00000000'],
  ['09a378f9b2e332a7', '0000000809a378f9b2e332a7'],
  ['80', '000000020080'],
  ['000080', '000000020080'],
  ['0000', '00000000'],
])('the number %s is written as %s', (magnitude, wire) => {
  expect(new WireWriter().mpint(Buffer.from(magnitude, 'hex')).finish().toString('hex')).toBe(wire)
})

test.each([
  ['a negative number', [0, 0, 0, 2, 0xed, 0xcc]],
  ['a number with a needless zero', [0, 0, 0, 2, 0, 0x7f]],
  ['zero written as a byte', [0, 0, 0, 1, 0]],
])('%s is refused', (_, bytes) => {
  expect(() => reader(...bytes).mpint()).toThrow(refusal)
})

test('a length beyond the end is refused before anything is allocated', () => {
  expect(() => reader(0xff, 0xff, 0xff, 0xff, 1).string()).toThrow(refusal)
  expect(() => reader(0, 0, 0, 2, 1).string()).toThrow(refusal)
  expect(() => reader(0, 0, 1).u32()).toThrow(refusal)
  expect(() => reader(0, 0, 0, 0, 0, 0, 1).u64()).toThrow(refusal)
  expect(() => reader().u8()).toThrow(refusal)
})

test('what is left over and what is not UTF-8 is refused', () => {
  expect(() => reader(1).end()).toThrow(refusal)
  expect(() => reader(0, 0, 0, 2, 0xc3, 0x28).text()).toThrow(refusal)
  expect(() => reader(0, 0, 0, 3, 0xed, 0xa0, 0x80).text(), 'a surrogate').toThrow(refusal)
  expect(() => reader(0, 0, 0, 2, 0xc0, 0x80).text(), 'an overlong NUL').toThrow(refusal)
})
