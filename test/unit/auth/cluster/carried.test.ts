import {once} from 'node:events'
import {type AddressInfo, createConnection, createServer, type Socket} from 'node:net'
import {beforeAll, describe, expect, test} from 'vitest'
import {createCarried} from '../../../../src/lib/auth/cluster/carried.js'
import {createClusterClient, type SystemApi} from '../../../../src/lib/auth/index.js'
import {createMachineKey} from '../../../../src/lib/auth/join/client.js'
import {atEnd} from '../../../support/cleanup.js'
import {failure, openAuth} from '../fixture.js'
import {type ClusterOfOne, hostId, serveCluster} from './cluster-fixture.js'

test('a note is good for one connection, within a minute, and the newest counts', () => {
  const clock = {now: 0}
  const carried = createCarried(() => clock.now)
  carried.note('10.0.0.1:1', '192.0.2.1:1')
  carried.note('10.0.0.1:1', '192.0.2.2:2')
  carried.note('10.0.0.1:2', '192.0.2.3:3')
  expect(carried.take('10.0.0.2:1')).toBeUndefined()
  expect(carried.take('10.0.0.1:1')).toBe('192.0.2.2:2')
  expect(carried.take('10.0.0.1:1')).toBeUndefined()
  clock.now += 60_001
  expect(carried.take('10.0.0.1:2')).toBeUndefined()
})

test('notes are bounded: the oldest go', () => {
  const carried = createCarried(() => 0)
  for (let n = 0; n < 20_001; n++) carried.note(`10.0.0.1:${n}`, `192.0.2.1:${n}`)
  expect(carried.take('10.0.0.1:0')).toBeUndefined()
  expect(carried.take('10.0.0.1:1')).toBe('192.0.2.1:1')
  expect(carried.take('10.0.0.1:20000')).toBe('192.0.2.1:20000')
})

let cluster: ClusterOfOne
beforeAll(async () => {
  cluster = await serveCluster(await openAuth({clock: {now: Date.now()}}))
})

const codeOf = async (promise: Promise<unknown>): Promise<string> => (await failure(promise)).code
const guess = (api: SystemApi) => {
  const wish = {hostId, nodename: 'db1', roles: ['node' as const], publicKey: createMachineKey().publicKey}
  return codeOf(api.join({...wish, token: 'wrong'}))
}

describe('a connection that a proxy carries', () => {
  /** A tunnel port: what comes there goes on unread, with the proxy's word about whose it is. */
  async function tunnelPort(whose: () => string) {
    const proxy = await cluster.client('proxy')
    const open = new Set<Socket>()
    const server = createServer(socket => {
      const {host, port} = cluster.server.address
      const onward = createConnection(port, host, async () => {
        await proxy.api.vouchConnection({port: onward.localPort ?? 0, address: whose()})
        socket.pipe(onward).pipe(socket)
      })
      for (const one of [socket, onward]) {
        open.add(one)
        one.on('error', () => undefined).on('close', () => [socket, onward].map(each => each.destroy()))
      }
    })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    atEnd(() => {
      for (const socket of open) socket.destroy()
      return new Promise<void>(resolve => server.close(() => resolve()))
    })
    const {port} = server.address() as AddressInfo
    const authorities = cluster.auth.authorities.tlsHostAuthorities()
    return () =>
      createClusterClient({
        ...{servers: [{host: '127.0.0.1', port}], credentials: () => ({authorities}), now: Date.now},
      })
  }

  test('counts as that of its other end: who guesses there uses up the tries of nobody else', async () => {
    let whose = '198.51.100.9:4711'
    const connect = await tunnelPort(() => whose)
    const guesser = connect()
    for (let n = 0; n < 10; n++) expect(await guess(guesser.api)).toBe('token_invalid')
    expect(await guess(guesser.api)).toBe('rate_limited')
    const event = (await cluster.auth.events('instance.join')).find(({success}) => !success)
    expect(event).toMatchObject({'addr.remote': '198.51.100.9'})
    whose = '[2001:db8::7]:4712'
    const other = connect()
    expect(await guess(other.api)).toBe('token_invalid')
    const proxy = await cluster.client()
    expect(await guess(proxy.api)).toBe('token_invalid')
    for (const client of [guesser, other]) client.close()
  })

  test('counts as its own where no proxy says otherwise', async () => {
    const node = await cluster.client('node')
    for (const api of [node.api, (await cluster.client()).api])
      expect(await codeOf(api.vouchConnection({port: 1, address: '192.0.2.1:1'}))).toBe('access_denied')
    const proxy = await cluster.client('proxy')
    for (const address of ['', 'db1:22', '192.0.2.1:1\n', 'x'.repeat(65)])
      expect(await codeOf(proxy.api.vouchConnection({port: 1, address}))).toBe('invalid_input')
    expect(await codeOf(proxy.api.vouchConnection({port: 65_536, address: '192.0.2.1:1'}))).toBe(
      'invalid_input',
    )
  })
})
