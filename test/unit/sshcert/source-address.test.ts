import {BlockList} from 'node:net'
import fc from 'fast-check'
import {expect, test} from 'vitest'
import {sourceAddressAllows} from '../../../src/lib/sshcert/source-address.js'

// The rules themselves are in the table of the checker; here are many addresses against node's own arithmetic.

const bigInt = (bits: number): fc.Arbitrary<bigint> => fc.bigInt({min: 0n, max: 2n ** BigInt(bits) - 1n})
const dotted = (value: bigint): string => [24n, 16n, 8n, 0n].map(shift => (value >> shift) & 255n).join('.')
const coloned = (value: bigint): string =>
  Array.from({length: 8}, (_, index) => ((value >> BigInt(112 - 16 * index)) & 0xffffn).toString(16)).join(
    ':',
  )
const shortened = (text: string): string => text.replace(/(^|:)(0(:0)+)(:|$)/, '::')

const versions = [
  {family: 'ipv4', bits: 32, write: dotted},
  {family: 'ipv6', bits: 128, write: (value: bigint) => shortened(coloned(value))},
] as const

test.each(versions)('$family blocks are matched as node matches them', ({family, bits, write}) => {
  const given = fc.record({
    base: bigInt(bits),
    other: bigInt(bits),
    prefix: fc.integer({min: 0, max: bits}),
    near: fc.boolean(),
  })
  fc.assert(
    fc.property(given, ({base, other, prefix, near}) => {
      const free = BigInt(bits - prefix)
      const network = (base >> free) << free
      // Next to the block as often as anywhere.
      const peer = near ? network ^ (other >> BigInt(prefix)) ^ (prefix ? (other & 1n) << free : 0n) : other
      // IPv4-mapped peers are a matter of their own.
      fc.pre(family === 'ipv4' || peer >> 32n !== 0xffffn)
      const list = new BlockList()
      list.addSubnet(write(network), prefix, family)
      const expected = list.check(write(peer), family)
      expect(sourceAddressAllows(`${write(network)}/${prefix}`, write(peer))).toBe(expected)
    }),
    {numRuns: 2000},
  )
})

test('an IPv4 peer is the same through an IPv6 socket', () => {
  fc.assert(
    fc.property(bigInt(32), bigInt(32), (peer, other) => {
      for (const mapped of [`::ffff:${dotted(peer)}`, coloned((0xffffn << 32n) | peer)]) {
        expect(sourceAddressAllows(dotted(peer), mapped)).toBe(true)
        expect(sourceAddressAllows(dotted(other), mapped)).toBe(peer === other)
        expect(sourceAddressAllows('::/0', mapped)).toBe(false)
      }
    }),
  )
})

test('bits beyond the prefix make the list match nothing', () => {
  fc.assert(
    fc.property(bigInt(32), fc.integer({min: 0, max: 31}), (value, prefix) => {
      const odd = value | 1n
      expect(sourceAddressAllows(`${dotted(odd)}/${prefix},${dotted(odd)}`, dotted(odd))).toBe(false)
    }),
  )
})

test('no list and no peer makes it throw or let everybody in', () => {
  const text = fc.oneof(fc.string(), fc.stringMatching(/^[0-9a-f:.,/%]*$/), fc.ipV4(), fc.ipV6())
  fc.assert(
    fc.property(fc.array(text), text, (entries, peer) => {
      const allowed = sourceAddressAllows(entries.join(','), peer)
      expect(typeof allowed).toBe('boolean')
      expect(sourceAddressAllows(`${entries.join(',')},x`, peer)).toBe(false)
    }),
    {numRuns: 2000},
  )
})
