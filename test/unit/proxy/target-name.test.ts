import {isIP} from 'node:net'
import fc from 'fast-check'
import {describe, expect, it} from 'vitest'
import {canonicalTarget, parseProxySubsystem} from '../../../src/lib/proxy/target-name.js'

const invalid = expect.objectContaining({code: 'invalid_input'})

describe('the target of a proxy: subsystem', () => {
  it.each([
    ['db-1:22', {host: 'db-1', port: 22}],
    ['DB-1.Example.COM:2222', {host: 'db-1.example.com', port: 2222}],
    ['example.com.:22', {host: 'example.com', port: 22}],
    ['10.0.0.7:1', {host: '10.0.0.7', port: 1}],
    ['10.0.0.7:65535', {host: '10.0.0.7', port: 65_535}],
    ['[::1]:22', {host: '::1', port: 22}],
    ['[2001:DB8:0:0::1]:22', {host: '2001:db8::1', port: 22}],
    ['[::ffff:10.0.0.7]:22', {host: '10.0.0.7', port: 22}],
    ['[::ffff:a9fe:a9fe]:22', {host: '169.254.169.254', port: 22}],
    ['db_1:22', {host: 'db_1', port: 22}],
    ['bücher.example:22', {host: 'xn--bcher-kva.example', port: 22}],
    ['xn--bcher-kva.example:22', {host: 'xn--bcher-kva.example', port: 22}],
    // Spellings of IPv4 addresses that resolvers take are addresses here too.
    ['127.1:22', {host: '127.0.0.1', port: 22}],
    ['0x7f.1:22', {host: '127.0.0.1', port: 22}],
    ['0177.0.0.1:22', {host: '127.0.0.1', port: 22}],
    ['2130706433:22', {host: '127.0.0.1', port: 22}],
    ['0:22', {host: '0.0.0.0', port: 22}],
    ['127.0.0.1.:22', {host: '127.0.0.1', port: 22}],
    ['１２７.0.0.1:22', {host: '127.0.0.1', port: 22}],
    // Whichever port the host has in the inventory; and 22 for others where none is named.
    ['db-1:0', {host: 'db-1', port: 0}],
    ['db-1', {host: 'db-1', port: 0, portIfUnregistered: 22}],
    ['[::1]', {host: '::1', port: 0, portIfUnregistered: 22}],
    ['db-1@east', {host: 'db-1', port: 0, portIfUnregistered: 22, cluster: 'east'}],
    ['db-1:22@east', {host: 'db-1', port: 22, cluster: 'east'}],
    ['db-1:22@default@east.example', {host: 'db-1', port: 22, cluster: 'east.example'}],
  ])('%j is understood', (target, expected) => {
    expect(parseProxySubsystem(target)).toEqual(expected)
  })

  it.each([
    '',
    ':',
    ':80',
    '@',
    '@east',
    'db-1:',
    'db-1:65536',
    'db-1:99999',
    'db-1:100000',
    'db-1:-1',
    'db-1:+22',
    'db-1:22x',
    'db-1: 22',
    'db-1:22 ',
    'db-1:22\n',
    'db-1:٢٢',
    'db-1:22@',
    'db-1:22@a@b@c',
    'db-1:22@ea st',
    'db-1:22@east\0',
    'a:b:22',
    '::1:22',
    '[::1:22',
    '[]:22',
    '[::1]x:22',
    '[db-1]x:22',
    '[fe80::1%eth0]:22',
    '[fe80::1%25eth0]:22',
    'fe80::1%eth0:22',
    'db-1\0:22',
    'db-1\0.evil:22',
    'db 1:22',
    'db-1/..:22',
    'db-1?x:22',
    'db-1#x:22',
    'root%40db-1:22',
    'db-1\\x:22',
    '-db:22',
    'db-:22',
    'db..example:22',
    '.db:22',
    'db..:22',
    '*:22',
    '*.example:22',
    'db,db-2:22',
    '256.0.0.1:22',
    '1.2.3.4.5:22',
    '0x100000000:22',
    `${'a'.repeat(64)}:22`,
    `${'a.'.repeat(127)}:22`,
    `${'a'.repeat(65_536)}:22`,
    `[${':'.repeat(65_536)}]:22`,
    `${'@'.repeat(65_536)}`,
  ])('%j is refused', target => {
    expect(() => parseProxySubsystem(target)).toThrow(invalid)
  })

  it('names nothing but what policy, DNS and certificates all see alike', () => {
    const piece = fc.oneof(
      fc.string({unit: 'binary', maxLength: 20}),
      fc.constantFrom('[', ']', ':', '@', '.', '0x', '127.0.0.1', '::ffff:', 'xn--', '%', '22', '0'),
    )
    fc.assert(
      fc.property(fc.array(piece, {maxLength: 8}), pieces => {
        const target = pieces.join('')
        let parsed: ReturnType<typeof parseProxySubsystem>
        try {
          parsed = parseProxySubsystem(target)
        } catch (error) {
          expect(error).toEqual(invalid)
          return
        }
        const {host, port} = parsed
        expect(host).toMatch(isIP(host) === 6 ? /^[0-9a-f:]+$/ : /^[a-z0-9._-]{1,253}$/)
        expect(port).toBeGreaterThanOrEqual(0)
        expect(port).toBeLessThan(65_536)
        // What is canonical stays as it is.
        expect(canonicalTarget(host, port || 22)).toEqual({host, port: port || 22})
      }),
      {numRuns: 2000},
    )
  })
})

describe('the target of a direct-tcpip channel', () => {
  it.each([0, -1, 65_536, 1.5, Number.NaN, 4_294_967_295])('has no port %d', port => {
    expect(() => canonicalTarget('db-1', port)).toThrow(invalid)
  })

  it('is an IPv6 address with or without brackets', () => {
    expect(canonicalTarget('::1', 22)).toEqual({host: '::1', port: 22})
    expect(canonicalTarget('[::1]', 22)).toEqual({host: '::1', port: 22})
  })
})
