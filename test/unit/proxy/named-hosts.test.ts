import {describe, expect, it, vi} from 'vitest'
import type {HostRecord} from '../../../src/lib/access/index.js'
import {problem} from '../../../src/lib/errors/index.js'
import {createNamedHosts} from '../../../src/lib/proxy/named-hosts.js'

const host = (address: string, subKind: HostRecord['subKind'] = 'openssh'): HostRecord => ({
  ...{id: address, subKind, hostname: 'h', labels: {}},
  address,
})

function world(hosts: HostRecord[], dns: Record<string, string[]>) {
  const clock = {now: 0}
  const listHosts = vi.fn(async () => hosts)
  const lookup = vi.fn(async (name: string) => {
    const found = dns[name]
    if (!found) throw new Error('ENOTFOUND')
    return found
  })
  const named = createNamedHosts({auth: {listHosts}, dial: {lookup}, monotonic: () => clock.now})
  return {clock, listHosts, lookup, named, hosts}
}

describe('registered hosts whose address is a name', () => {
  it('are found by where the name leads; nodes, which claim theirs, and plain addresses are not', async () => {
    const {named, lookup} = world(
      [
        host('db.internal:22'),
        host('web.internal:2222'),
        host('10.0.0.5:22'),
        host('node.internal:3022', 'node'),
      ],
      {'db.internal': ['10.0.0.5', '10.0.0.6'], 'web.internal': ['10.0.0.6'], 'node.internal': ['10.0.0.5']},
    )
    expect(await named.at(['10.0.0.5'])).toEqual(new Map([['db.internal', ['10.0.0.5']]]))
    expect(await named.at(['10.0.0.6', '10.9.9.9'])).toEqual(
      new Map([
        ['db.internal', ['10.0.0.6']],
        ['web.internal', ['10.0.0.6']],
      ]),
    )
    expect(await named.at(['192.0.2.1'])).toEqual(new Map())
    expect(lookup.mock.calls.map(([name]) => name).sort()).toEqual(['db.internal', 'web.internal'])
  })

  it('are looked up once a minute, by everybody together, and listed more often', async () => {
    const dns: Record<string, string[]> = {'db.internal': ['10.0.0.5'], 'new.internal': ['10.0.0.8']}
    const {named, clock, listHosts, lookup, hosts} = world([host('db.internal:22')], dns)
    await Promise.all([1, 2, 3].map(() => named.at(['10.0.0.5'])))
    clock.now = 4999
    await named.at(['10.0.0.5'])
    expect(listHosts).toHaveBeenCalledTimes(1)
    hosts.push(host('new.internal:22'))
    dns['db.internal'] = ['10.0.0.7']
    clock.now = 5000
    expect((await named.at(['10.0.0.8'])).size).toBe(1)
    expect((await named.at(['10.0.0.5'])).size).toBe(1)
    expect(lookup.mock.calls).toEqual([['db.internal'], ['new.internal']])
    clock.now = 60_000
    expect((await named.at(['10.0.0.7'])).size).toBe(1)
    expect((await named.at(['10.0.0.5'])).size).toBe(0)
    expect(lookup).toHaveBeenCalledTimes(3)
  })

  it('stay where they were while a name does not resolve, or the auth service is away', async () => {
    const dns: Record<string, string[]> = {'db.internal': ['10.0.0.5']}
    const {named, clock, listHosts} = world([host('db.internal:22')], dns)
    await named.at(['10.0.0.5'])
    delete dns['db.internal']
    clock.now += 60_000
    expect((await named.at(['10.0.0.5'])).size).toBe(1)
    listHosts.mockRejectedValue(problem('unavailable', 'away'))
    clock.now += 60_000
    expect((await named.at(['10.0.0.5'])).size).toBe(1)
  })

  it('keep nobody from anywhere where there are none, and everybody who could go round them', async () => {
    const none = world([host('10.0.0.5:22')], {})
    expect(await none.named.at(['10.0.0.5'])).toEqual(new Map())
    const away = world([], {})
    const error = problem('unavailable', 'away')
    away.listHosts.mockRejectedValue(error)
    await expect(away.named.at(['10.0.0.5'])).rejects.toBe(error)
    vi.useFakeTimers()
    try {
      const slow = world([host('db.internal:22')], {})
      slow.lookup.mockReturnValue(new Promise(() => undefined))
      const asked = expect(slow.named.at(['10.0.0.5'])).rejects.toMatchObject({code: 'unavailable'})
      await vi.advanceTimersByTimeAsync(10_000)
      await asked
    } finally {
      vi.useRealTimers()
    }
  })
})
