import fc from 'fast-check'
import {describe, expect, it} from 'vitest'
import {chooseHost, type Found, type HostRecord, type RouteRequest} from '../../../src/lib/access/index.js'

const now = 1_000_000
const uuid = (digit: number): string => `${String(digit).repeat(8)}-0000-4000-8000-000000000000`
const host = (
  digit: number,
  hostname: string,
  address?: string,
  more: Partial<HostRecord> = {},
): HostRecord => ({
  ...{id: uuid(digit), subKind: 'openssh', hostname, labels: {}},
  ...(address !== undefined && {address}),
  ...more,
})

const db = host(1, 'db', '10.0.0.1:22')
const web = host(2, 'web', '10.0.0.2:2222')
const twin = host(3, 'twin', '10.0.0.3:22', {registered: 10})
const otherTwin = host(4, 'twin', '10.0.0.4:22', {registered: 20})
const tunnelled = host(5, 'behind', undefined, {
  subKind: 'node',
  tunnel: true,
  lastSeen: now,
  expires: now + 1,
})
const many = host(8, 'shop', '10.0.0.8:22', {names: ['www.example', '192.0.2.8']})
const named = host(6, 'alias', 'db.internal:22')
const six = host(7, 'six', '[2001:db8::7]:22')
const all = [db, web, twin, otherTwin, tunnelled, many, named, six]

const ask = (
  request: Partial<RouteRequest>,
  {
    hosts = all,
    hidden = [],
    strategy = 'unambiguous_match',
  }: {
    hosts?: HostRecord[]
    hidden?: HostRecord[]
    strategy?: 'unambiguous_match' | 'most_recent'
  } = {},
): string => {
  const found: Found[] = hosts.map(one => ({host: one, visible: !hidden.includes(one)}))
  const route = chooseHost(found, {host: 'x', port: 0, ...request}, {strategy, now})
  if (route.kind === 'host')
    return route.host.hostname + (route.host.hostname === 'twin' ? route.host.id[0] : '')
  if (route.kind === 'ambiguous' || route.kind === 'other_port')
    return `${route.kind} ${route.hosts.map(({id}) => id[0]).join()}`
  return route.kind
}

describe('a host is chosen', () => {
  it.each<[string, Partial<RouteRequest>, string]>([
    ['by its UUID', {host: uuid(1)}, 'db'],
    ['by its UUID, whatever the port', {host: uuid(1), port: 9}, 'db'],
    ['not by a UUID that nobody has', {host: uuid(9)}, 'none'],
    ['not by the beginning of a UUID', {host: uuid(1).slice(0, 8)}, 'none'],
    ['by its name and port', {host: 'db', port: 22}, 'db'],
    ['by its name, where nobody names a port', {host: 'web'}, 'web'],
    ['not by a part of its name', {host: 'd'}, 'none'],
    ['by its name with 22, which is what ssh says where nobody named one', {host: 'web', port: 22}, 'web'],
    ['not by its name with another port', {host: 'web', port: 23}, 'other_port 2'],
    ['by another of its names', {host: 'www.example', port: 22}, 'shop'],
    ['by an address among its names', {host: '192.0.2.8', port: 22}, 'shop'],
    ['by its address', {host: '10.0.0.1', port: 22}, 'db'],
    ['by an IPv6 address', {host: '2001:db8::7', port: 22}, 'six'],
    [
      'not by its address with another port, where another sshd may be',
      {host: '10.0.0.1', port: 2200},
      'none',
    ],
    ['by the name in its address', {host: 'db.internal', port: 22}, 'alias'],
    ['by the address that a name leads to', {host: 'db.corp', port: 22, addresses: ['10.0.0.1']}, 'db'],
    ['by one of several addresses', {host: 'x', port: 22, addresses: ['10.9.9.9', '10.0.0.1']}, 'db'],
    ['not by such an address with another port', {host: 'x', port: 23, addresses: ['10.0.0.1']}, 'none'],
    [
      'by its name rather than by where the name leads',
      {host: 'db', port: 22, addresses: ['10.0.0.3']},
      'db',
    ],
    ['by its name where only a tunnel leads to it', {host: 'behind', port: 22}, 'behind'],
    ['never, where two fit alike', {host: 'twin', port: 22}, 'ambiguous 4,3'],
    [
      'never, where a name leads to two',
      {host: 'x', port: 22, addresses: ['10.0.0.1', '10.0.0.3']},
      'ambiguous 3,1',
    ],
    ['by UUID also of two that have one name', {host: uuid(3)}, 'twin3'],
  ])('%s', (_, request, expected) => {
    expect(ask(request)).toBe(expected)
  })

  it('by who was heard of last, with most_recent', () => {
    expect(ask({host: 'twin'}, {strategy: 'most_recent'})).toBe('twin4')
    const node = host(9, 'twin', '10.0.0.9:22', {subKind: 'node', lastSeen: now - 5, expires: now + 5})
    const older = host(8, 'twin', '10.0.0.8:22', {subKind: 'node', lastSeen: now - 9, expires: now + 5})
    expect(ask({host: 'twin'}, {hosts: [node, older], strategy: 'most_recent'})).toBe('twin9')
    // A node is heard of all the time: that is no reason to take it for a host that somebody registered.
    expect(ask({host: 'twin'}, {hosts: [node, ...all, older], strategy: 'most_recent'})).toBe('twin4')
  })

  it('before one that is offline', () => {
    const away = host(9, 'db', '10.0.0.9:22', {subKind: 'node', lastSeen: 1, expires: 2})
    expect(ask({host: 'db'}, {hosts: [...all, away]})).toBe('db')
    expect(ask({host: 'db'}, {hosts: [away]})).toBe('db')
  })
})

describe('a hidden host', () => {
  it.each<[string, Partial<RouteRequest>, HostRecord[], string]>([
    ['is not led to by its name', {host: 'db'}, [db], 'hidden'],
    ['nor by its UUID', {host: uuid(1)}, [db], 'hidden'],
    ['nor by its address', {host: '10.0.0.1', port: 22}, [db], 'hidden'],
    ['nor by where a name leads', {host: 'x', port: 22, addresses: ['10.0.0.1']}, [db], 'hidden'],
    ['nor told of by its port', {host: 'web', port: 23}, [web], 'hidden'],
    ['is no rival of one that may be seen', {host: 'twin'}, [otherTwin], 'twin3'],
    ['is not listed among several', {host: 'twin'}, [twin, otherTwin], 'hidden'],
    ['does not shut another sshd at its address', {host: '10.0.0.1', port: 2200}, [db], 'none'],
  ])('%s', (_, request, hidden, expected) => {
    expect(ask(request, {hidden})).toBe(expected)
  })

  it('never changes what becomes of a request that may see another host', () => {
    const request = fc.record({
      host: fc.constantFrom('db', 'web', 'twin', 'behind', '10.0.0.1', 'nobody', uuid(1), uuid(4)),
      port: fc.constantFrom(0, 22, 2222),
      addresses: fc.subarray(['10.0.0.1', '10.0.0.2', '10.0.0.4']),
    })
    fc.assert(
      fc.property(request, fc.subarray(all), fc.boolean(), (wish, hidden, recent) => {
        const strategy = recent ? 'most_recent' : 'unambiguous_match'
        const seen = ask(wish, {hidden, strategy})
        const alone = ask(wish, {hosts: all.filter(one => !hidden.includes(one)), strategy})
        // Either the hidden ones make no difference at all, or the answer is that one of them was meant.
        expect([alone, 'hidden']).toContain(seen)
        if (seen === 'hidden') expect(alone).toMatch(/^(none|other_port)/)
      }),
    )
  })
})
