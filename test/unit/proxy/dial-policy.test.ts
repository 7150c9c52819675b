import fc from 'fast-check'
import {describe, expect, it} from 'vitest'
import {type DialContext, type DialRules, decideDial, dialPolicy} from '../../../src/lib/proxy/dial-policy.js'
import {leastProcessorTime} from '../../support/processor-time.js'

const context = (rules: Partial<DialRules> = {}, more: Partial<DialContext> = {}): DialContext => ({
  policy: dialPolicy({allow: [], deny: [], ...rules}),
  loopbackOnly: false,
  ownPorts: [3023, 3080],
  ownAddresses: ['10.0.0.5', 'fd00::5'],
  ...more,
})
const decide = (address: string, rules: DialContext = context(), host = address, port = 22) =>
  decideDial({host, port, address}, rules)
const reason = (...parameters: Parameters<typeof decide>): string | undefined => {
  const decision = decide(...parameters)
  return decision.allowed ? undefined : decision.reason
}

describe('addresses that are never dialled', () => {
  // Whatever the rules say.
  const open = context({allow: ['0.0.0.0/0', '::/0', '*']}, {loopbackOnly: true})

  it.each([
    ['169.254.169.254', 'link-local'],
    ['169.254.0.1', 'link-local'],
    ['fe80::1', 'link-local'],
    ['febf::1', 'link-local'],
    ['::ffff:169.254.169.254', 'link-local'],
    ['::ffff:a9fe:a9fe', 'link-local'],
    ['64:ff9b::a9fe:a9fe', 'link-local'],
    ['64:ff9b::169.254.169.254', 'link-local'],
    ['2002:a9fe:a9fe::1', 'link-local'],
    ['fd00:ec2::254', 'credentials'],
    ['100.100.100.200', 'credentials'],
    ['168.63.129.16', 'credentials'],
    ['0.0.0.0', 'not one of a host'],
    ['0.1.2.3', 'not one of a host'],
    ['::', 'not one of a host'],
    ['224.0.0.1', 'not one of a host'],
    ['ff02::1', 'not one of a host'],
    ['255.255.255.255', 'not one of a host'],
    ['::ffff:0:0', 'not one of a host'],
  ])('%s', (address, why) => {
    expect(reason(address, open)).toContain(why)
  })

  it.each([
    '127.0.0.1',
    '127.9.9.9',
    '::1',
    '::ffff:127.0.0.1',
    '::ffff:7f00:1',
    '10.0.0.5',
    '::ffff:10.0.0.5',
    '::ffff:a00:5',
    'fd00::5',
  ])('the cluster’s own ports at %s', address => {
    expect(reason(address, open, 'me', 3023)).toContain('belongs to the cluster')
    expect(reason(address, open, 'me', 3080)).toContain('belongs to the cluster')
    expect(reason(address, open, 'me', 22)).toBeUndefined()
  })

  it('but other machines may use the same ports', () => {
    expect(reason('10.0.0.6', open, 'other', 3023)).toBeUndefined()
  })
})

describe('where a node says it is', () => {
  const at = (address: string, from: DialContext) => {
    const decision = decideDial({host: address, port: 6379, address, claimed: true}, from)
    return decision.allowed ? 'allowed' : decision.reason
  }
  const narrow = context({allow: ['10.1.0.0/16'], deny: ['10.2.0.0/16']})
  it.each(['10.1.0.1', '192.0.2.1'])('may be anywhere else: %s', address => {
    expect(at(address, narrow)).toBe('allowed')
  })
  it('is not where nobody may be led', () => {
    expect(at('10.2.0.1', narrow)).toBe('proxy_service.dial.deny names it')
  })
  it.each(['127.0.0.1', '127.9.9.9', '::1', '::ffff:127.0.0.1'])('is not here: %s', address => {
    expect(at(address, narrow)).toContain('proxy_service.dial.allow')
    expect(at(address, context())).toContain('loopback')
    expect(at(address, context({}, {loopbackOnly: true}))).toBe('allowed')
  })
  it('is not where credentials are', () => {
    expect(at('169.254.169.254', context())).toContain('link-local')
  })
})

describe('a registered host', () => {
  const at = (address: string, port = 22) => {
    const narrow = context({allow: ['10.1.0.0/16'], deny: ['10.2.0.0/16']})
    const decision = decideDial({host: 'db', port, address, registered: true}, narrow)
    return decision.allowed ? 'allowed' : decision.reason
  }
  it.each([
    ['127.0.0.1', 'allowed'],
    ['10.2.0.1', 'allowed'],
    ['192.0.2.1', 'allowed'],
    ['10.0.0.5', 'allowed'],
    ['169.254.169.254', 'link-local addresses are never dialled'],
    ['100.100.100.200', 'the address is where cloud machines get their credentials'],
    ['0.0.0.0', 'the address is not one of a host'],
  ])('at %s: %s', (address, expected) => {
    expect(at(address)).toBe(expected)
  })
  it('is not a port of the cluster itself', () => {
    for (const address of ['127.0.0.1', '10.0.0.5', '::ffff:127.0.0.1'])
      expect(at(address, 3023)).toBe('the port belongs to the cluster itself')
  })
})

describe('loopback', () => {
  it.each([
    ['is refused by default', {}, {}, false],
    ['is meant where the proxy listens on loopback alone', {}, {loopbackOnly: true}, true],
    ['may be allowed by address', {allow: ['127.0.0.1']}, {}, true],
    ['may be allowed by block', {allow: ['127.0.0.0/8']}, {}, true],
    ['may be allowed by its full name', {allow: ['here.example']}, {}, true],
    ['is not allowed by a pattern that somebody else may fill', {allow: ['*.example']}, {}, false],
    ['is not allowed by a pattern for everything', {allow: ['*']}, {}, false],
    ['may be denied even then', {deny: ['127.0.0.0/8']}, {loopbackOnly: true}, false],
  ])('%s', (_name, rules, more, allowed) => {
    expect(decide('127.0.0.1', context(rules, more), 'here.example').allowed).toBe(allowed)
    expect(decide('::ffff:127.0.0.1', context(rules, more), 'here.example').allowed).toBe(allowed)
  })
})

describe('rules', () => {
  it.each<[string, Partial<DialRules>, string, string, boolean]>([
    ['none: everything', {}, '93.184.216.34', 'example.com', true],
    ['a block allows what is in it', {allow: ['10.0.0.0/8']}, '10.1.2.3', 'a', true],
    ['a block allows nothing else', {allow: ['10.0.0.0/8']}, '11.1.2.3', 'a', false],
    ['a block of IPv6', {allow: ['2001:db8::/32']}, '2001:db8::7', 'a', true],
    ['a single address', {allow: ['10.1.2.3']}, '10.1.2.3', 'a', true],
    ['a single address and its neighbour', {allow: ['10.1.2.3']}, '10.1.2.4', 'a', false],
    ['a glob allows names', {allow: ['*.example.com']}, '10.1.2.3', 'db.example.com', true],
    ['a glob is about whole labels as written', {allow: ['*.example.com']}, '10.1.2.3', 'example.com', false],
    ['a glob ends where the name ends', {allow: ['*.example.com']}, '10.1.2.3', 'db.example.com.evil', false],
    ['a glob is no regular expression', {allow: ['d.\\.example']}, '10.1.2.3', 'db.example', false],
    ['a dot is a dot', {allow: ['db.example']}, '10.1.2.3', 'dbxexample', false],
    ['case does not matter', {allow: ['DB.Example']}, '10.1.2.3', 'db.example', true],
    ['several stars', {allow: ['db-*.*.example']}, '10.1.2.3', 'db-1.east.example', true],
    ['parts may not overlap', {allow: ['ab*ba']}, '10.1.2.3', 'aba', false],
    ['deny wins over allow', {allow: ['10.0.0.0/8'], deny: ['10.1.0.0/16']}, '10.1.2.3', 'a', false],
    ['deny by name', {deny: ['*.secret']}, '10.1.2.3', 'db.secret', false],
    ['deny by address, whatever the name', {deny: ['10.1.2.3']}, '10.1.2.3', 'harmless', false],
    ['deny sees through a mapped address', {deny: ['10.0.0.0/8']}, '::ffff:10.1.2.3', 'a', false],
    ['deny sees through NAT64', {deny: ['10.0.0.0/8']}, '64:ff9b::10.1.2.3', 'a', false],
    ['deny sees through 6to4', {deny: ['10.0.0.0/8']}, '2002:a01:203::1', 'a', false],
    ['allow for IPv4 is not for IPv6', {allow: ['0.0.0.0/0']}, '2001:db8::1', 'a', false],
  ])('%s', (_name, rules, address, host, allowed) => {
    expect(decide(address, context(rules), host).allowed).toBe(allowed)
  })

  it('have to be valid when the proxy starts', () => {
    for (const rule of ['10.0.0.0/33', '10.0.0.0/-1', '::/129', '10.0.0.0/x'])
      expect(() => dialPolicy({allow: [rule], deny: []})).toThrow(
        expect.objectContaining({code: 'config_invalid'}),
      )
  })

  it('are decided in no time whatever they are', () => {
    const rules = context({allow: [`${'a*'.repeat(120)}b`]})
    const time = leastProcessorTime(() =>
      expect(decide('10.1.2.3', rules, 'a'.repeat(250)).allowed).toBe(false),
    )
    expect(time).toBeLessThan(100)
  })

  it('never allow link-local addresses in any spelling', () => {
    const octet = fc.integer({min: 0, max: 255})
    fc.assert(
      fc.property(octet, octet, fc.constantFrom('', '::ffff:', '64:ff9b::'), (a, b, prefix) => {
        expect(reason(`${prefix}169.254.${a}.${b}`, context({allow: ['*']}))).toContain('link-local')
      }),
    )
  })
})
