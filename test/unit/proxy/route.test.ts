import {once} from 'node:events'
import {type AddressInfo, createServer} from 'node:net'
import {describe, expect, it} from 'vitest'
import type {HostRecord, Route} from '../../../src/lib/access/index.js'
import type {HostRouteRequest} from '../../../src/lib/auth/contract.js'
import {problem} from '../../../src/lib/errors/index.js'
import {dialPolicy} from '../../../src/lib/proxy/dial-policy.js'
import {type Router, routeTarget} from '../../../src/lib/proxy/route.js'
import {atEnd} from '../../support/cleanup.js'

const id = '11111111-0000-4000-8000-000000000000'
const identity = {user: 'joe', roles: [], logins: ['root'], validBefore: 0}
const host = (changes: Partial<HostRecord> = {}): HostRecord => ({
  ...{id, subKind: 'openssh', hostname: 'db', address: '127.0.0.1:22', labels: {}},
  ...changes,
})

async function listener(): Promise<number> {
  const server = createServer(socket => socket.on('error', () => undefined).resume()).listen(0, '127.0.0.1')
  await once(server, 'listening')
  atEnd(() => void server.close())
  return (server.address() as AddressInfo).port
}

interface Asked {
  requests: HostRouteRequest[]
  names: string[]
}

/** A router with these answers of the inventory, one after the other, and of DNS. */
function router(routes: Route[], dns: Record<string, string[]> = {}): Router & Asked {
  const asked: Asked = {requests: [], names: []}
  return {
    ...asked,
    now: () => 1000,
    named: {at: async () => new Map()},
    auth: {
      async routeHost(request) {
        asked.requests.push(request)
        return routes.shift() ?? {kind: 'none'}
      },
    },
    dial: {
      policy: dialPolicy({allow: ['10.0.0.0/8'], deny: []}),
      loopbackOnly: false,
      ownPorts: () => [],
      async lookup(name) {
        asked.names.push(name)
        const addresses = dns[name]
        if (!addresses) throw new Error('ENOTFOUND')
        return addresses
      },
    },
  }
}

const failureOf = async (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    () => 'none',
    error => error,
  )

describe('the way to a host', () => {
  it('of the inventory leads to its address, without a look at DNS, whatever proxy_service.dial says', async () => {
    const port = await listener()
    const found = host({address: `127.0.0.1:${port}`})
    const to = router([{kind: 'host', host: found}])
    const target = await routeTarget(to, identity, {host: 'db', port: 0})
    expect(target).toMatchObject({host: 'db', port, registered: found})
    const {stream, address} = await target.dial()
    stream.destroy()
    expect(address).toBe(`127.0.0.1:${port}`)
    expect(to.names).toEqual([])
    expect(to.requests).toEqual([{identity, host: 'db', port: 0}])
  })

  it('to a node on another machine is not one to a port of this machine, whatever the node says', async () => {
    const port = await listener()
    const found = host({subKind: 'node', address: `127.0.0.1:${port}`})
    const to = () => router([{kind: 'host', host: found}])
    const target = await routeTarget(to(), identity, {host: 'db', port: 0})
    expect(await failureOf(target.dial())).toMatchObject({code: 'dial_forbidden'})
    const own = await routeTarget({...to(), hostId: id}, identity, {host: 'db', port: 0})
    const {stream} = await own.dial()
    stream.destroy()
  })

  it('resolves a name once, for the inventory and for the connection', async () => {
    const answers: Record<string, string[]> = {'x.example': ['10.255.255.1']}
    const to = router([], answers)
    const target = await routeTarget(to, identity, {host: 'x.example', port: 22})
    answers['x.example'] = ['169.254.169.254']
    expect(to.requests.map(({addresses}) => addresses)).toEqual([undefined, ['10.255.255.1']])
    expect(target).not.toHaveProperty('registered')
    expect(to.names).toEqual(['x.example'])
  })

  it('of a name that leads to a registered host is the way to that host', async () => {
    const to = router([{kind: 'none'}, {kind: 'host', host: host({address: '10.0.0.1:22'})}], {
      'alias.example': ['10.9.9.9', '10.0.0.1'],
    })
    const target = await routeTarget(to, identity, {host: 'alias.example', port: 22})
    expect(target).toMatchObject({host: 'alias.example', registered: {id}})
  })

  it.each([
    ['10.0.0.5', '10.0.0.5'],
    ['alias.example', '10.0.0.5'],
  ])(
    'to a registered host whose address is a name is found by %s, and dialled where it was found',
    async asked => {
      const port = await listener()
      const dns: Record<string, string[]> = {
        'alias.example': ['10.0.0.5', '10.0.0.6'],
        'db.internal': ['10.255.255.9'],
      }
      const found = host({address: `db.internal:${port}`})
      const to = {
        ...router([{kind: 'none'}, {kind: 'host', host: found}], dns),
        named: {
          async at(addresses: readonly string[]) {
            return new Map([['db.internal', addresses.filter(address => address === '10.0.0.5')]])
          },
        },
      }
      const target = await routeTarget(to, identity, {host: asked, port})
      expect(target).toMatchObject({host: asked, port, registered: {id}})
      const places = to.requests.map(({addresses}) => addresses)
      expect(places[0]).toBeUndefined()
      expect(places[1]).toContain('db.internal')
      const asking = to.names.length
      const failed = (await failureOf(target.dial())) as {message: string}
      expect(failed.message).toContain(`db.internal:${port}`)
      // What the name leads to by now was not judged, and is not even asked for.
      expect(to.names.slice(asking)).toEqual([])
    },
    30_000,
  )

  it('is none while nobody can say which registered hosts are where', async () => {
    const unsure = problem('unavailable', 'still looking')
    const to = {...router([]), named: {at: () => Promise.reject(unsure)}}
    const asked = routeTarget(to, identity, {host: '10.0.0.5', port: 22})
    expect(await failureOf(asked)).toBe(unsure)
  })

  it('does not ask DNS about addresses, nor about UUIDs', async () => {
    const to = router([])
    await routeTarget(to, identity, {host: '10.0.0.9', port: 22})
    expect(await failureOf(routeTarget(to, identity, {host: id, port: 22}))).toMatchObject({
      code: 'host_not_found',
    })
    expect(to.names).toEqual([])
    expect(to.requests).toHaveLength(2)
  })

  it('tells only whoever dials that a name does not resolve, or that a host is hidden', async () => {
    const absent = await routeTarget(router([]), identity, {host: 'nowhere.example', port: 22})
    expect(await failureOf(absent.dial())).toMatchObject({code: 'host_unreachable'})
    const hidden = await routeTarget(router([{kind: 'hidden'}]), identity, {host: 'db', port: 22})
    expect(hidden).not.toHaveProperty('registered')
    expect(await failureOf(hidden.dial())).toMatchObject({code: 'host_not_found'})
    const hiddenId = routeTarget(router([{kind: 'hidden'}]), identity, {host: id, port: 22})
    const absentId = routeTarget(router([]), identity, {host: id, port: 22})
    expect(await failureOf(hiddenId)).toEqual(await failureOf(absentId))
  })

  it.each<[string, number, number | undefined, number | string]>([
    ['the port that was named', 2222, undefined, 2222],
    ['22 where none was named', 0, 22, 22],
    ['none for port 0, which is for hosts of the inventory', 0, undefined, 'invalid_input'],
  ])('to an unregistered target has %s', async (_, port, portIfUnregistered, expected) => {
    const name = {host: '10.0.0.9', port, ...(portIfUnregistered !== undefined && {portIfUnregistered})}
    const found = await routeTarget(router([]), identity, name).catch(error => error)
    expect(typeof expected === 'number' ? found.port : found.code).toBe(expected)
  })

  it('to several hosts is refused with their UUIDs, and to another port with the right one', async () => {
    const twins = [host(), host({id: id.replaceAll('1', '2')})]
    const many = routeTarget(router([{kind: 'ambiguous', hosts: twins}]), identity, {host: 'db', port: 0})
    expect(await failureOf(many)).toMatchObject({
      code: 'host_ambiguous',
      message: `db means 2 hosts: ${id} (db 127.0.0.1:22), ${id.replaceAll('1', '2')} (db 127.0.0.1:22)`,
    })
    const other = routeTarget(router([{kind: 'other_port', hosts: [host()]}]), identity, {
      host: 'db',
      port: 9,
    })
    expect(await failureOf(other)).toMatchObject({
      code: 'host_not_found',
      message: 'db is not at port 9, but at 22',
    })
  })

  it('that cannot be gone says that the node is offline, or that its tunnel is not open', async () => {
    const closed = host({subKind: 'node', address: '127.0.0.1:1', lastSeen: 0, expires: 600})
    const target = await routeTarget(router([{kind: 'host', host: closed}]), identity, {host: 'db', port: 0})
    expect(await failureOf(target.dial())).toMatchObject({
      code: 'host_unreachable',
      message: 'db is offline: it was last heard of at 1970-01-01T00:00:00.000Z',
    })
    const {address: _, ...behind} = host({tunnel: true})
    const tunnel = await routeTarget(router([{kind: 'host', host: behind}]), identity, {host: 'db', port: 0})
    expect(await failureOf(tunnel.dial())).toMatchObject({code: 'host_unreachable'})
  })
})
