import {once} from 'node:events'
import {type AddressInfo, connect, createServer, type Socket} from 'node:net'
import type {Duplex} from 'node:stream'
import {text} from 'node:stream/consumers'
import fc from 'fast-check'
import {afterEach, describe, expect, it, vi} from 'vitest'
import type {Channel, ChannelOpen} from '../../../src/lib/ssh/index.js'
import {publicKeyBlob, signerFromKey, WireWriter} from '../../../src/lib/sshcert/index.js'
import {
  foreignEndRequest,
  readForeignDial,
  writeForeignDial,
  writeForeignTerms,
} from '../../../src/lib/tunnel/foreign.js'
import {
  acceptTransport,
  keepTunnel,
  startTunnels,
  type Tunnel,
  type TunnelPeer,
  type Tunnels,
  type TunnelsOptions,
  type TunnelTrust,
} from '../../../src/lib/tunnel/index.js'
import {readTransport} from '../../../src/lib/tunnel/transport.js'
import {certify, hostAuthority, newKey} from '../ssh/fixture.js'

const id = '5e1f0d3a-9c1b-4c3e-8a55-0d6a4a1f2b7c'
const peer: TunnelPeer = {kind: 'node', id}
const transport = {remoteAddress: '192.0.2.7:50022', localAddress: '192.0.2.1:3023'}
const log = {info: () => undefined, warn: () => undefined}
const role = (name: string) =>
  new Map([
    ['x-teleport-role', name],
    ['x-teleport-authority', 'root.test'],
  ])

const ends: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const end of ends.splice(0).toReversed()) await end()
})

async function server(options: Partial<TunnelsOptions> = {}): Promise<Tunnels> {
  const key = newKey()
  const identity = {
    privateKey: key,
    publicBlob: await certify(key, 'host', {principals: ['root.test'], extensions: role('Proxy')}),
  }
  const tunnels = await startTunnels({
    listen: {host: '127.0.0.1', port: 0},
    hostIdentity: async () => identity,
    trust: async () => ({
      clusterName: 'root.test',
      hostAuthorities: [hostAuthority.publicBlob],
      leaves: new Map(),
      now: Date.now(),
    }),
    dialAuth: () => Promise.reject(new Error('nobody asked for it')),
    onRefused: () => undefined,
    maxConnections: 100,
    log,
    ...options,
  })
  ends.push(tunnels.close)
  return tunnels
}

/** A node's end that answers each connection with its own name. */
async function node(port: number, name = 'node', as = 'Node'): Promise<Tunnel & {served: string[]}> {
  const key = newKey()
  const blob = await certify(key, 'host', {principals: [`${id}.root.test`, id], extensions: role(as)})
  const served: string[] = []
  const tunnel = keepTunnel({
    address: {host: '127.0.0.1', port},
    username: id,
    credential: async () => ({blob, signer: signerFromKey(key)}),
    cluster: async () => ({name: 'root.test', hostAuthorities: [hostAuthority.publicBlob]}),
    onChannelOpen: open =>
      acceptTransport(open, (stream, {remoteAddress}) => {
        served.push(remoteAddress)
        stream.end(name)
        stream.resume()
      }),
    random: () => 0,
    log,
    now: Date.now,
  })
  ends.push(tunnel.close)
  return {...tunnel, served}
}

const answer = async (stream: Duplex): Promise<string> => {
  stream.end()
  return text(stream)
}

describe('a tunnel', () => {
  it('leads back to who keeps it, and says who comes', async () => {
    const tunnels = await server()
    const kept = await node(tunnels.address.port)
    await kept.opened
    await vi.waitFor(() => expect(tunnels.has(peer)).toBe(true))
    expect(await answer(await tunnels.dial(peer, transport))).toBe('node')
    expect(kept.served).toEqual(['192.0.2.7:50022'])
  })

  it('is the newest of its keeper, and the one before when that breaks', async () => {
    const tunnels = await server()
    await (await node(tunnels.address.port, 'older')).opened
    const newer = await node(tunnels.address.port, 'newer')
    await newer.opened
    await vi.waitFor(async () => expect(await answer(await tunnels.dial(peer, transport))).toBe('newer'))
    await newer.close()
    await vi.waitFor(async () => expect(await answer(await tunnels.dial(peer, transport))).toBe('older'))
  })

  it('is opened again when the proxy comes back', async () => {
    const first = await server()
    const {port} = first.address
    const kept = await node(port)
    await kept.opened
    await first.close()
    const second = await server({listen: {host: '127.0.0.1', port}})
    await vi.waitFor(() => expect(second.has(peer)).toBe(true))
    expect(await answer(await second.dial(peer, transport))).toBe('node')
  })

  it('that nobody keeps is an error that says so', async () => {
    const tunnels = await server()
    await expect(tunnels.dial(peer, transport)).rejects.toMatchObject({
      code: 'host_unreachable',
      message: `the node ${id} keeps no tunnel open to this proxy`,
    })
  })

  it('is refused to who is no node, and the refusal is told', async () => {
    const refused = vi.fn()
    const tunnels = await server({onRefused: refused})
    await node(tunnels.address.port, 'impostor', 'Proxy')
    await vi.waitFor(() => expect(refused).toHaveBeenCalled())
    expect(refused.mock.calls[0]?.[0]).toMatchObject({username: id, error: {code: 'access_denied'}})
    expect(tunnels.has(peer)).toBe(false)
  })

  it('is not kept to somebody who is no proxy', async () => {
    const key = newKey()
    const blob = await certify(key, 'host', {principals: ['root.test'], extensions: role('Node')})
    const tunnels = await server({hostIdentity: async () => ({privateKey: key, publicBlob: blob})})
    const warned = vi.spyOn(log, 'warn')
    await node(tunnels.address.port)
    await vi.waitFor(() => expect(warned).toHaveBeenCalled())
    expect(JSON.stringify(warned.mock.calls[0])).toContain('no proxy of the cluster')
    expect(tunnels.has(peer)).toBe(false)
    warned.mockRestore()
  })
})

describe('the way to a host of a leaf', () => {
  const wish = {certificate: publicKeyBlob(newKey()), login: 'root', host: 'db1', port: 22, ...transport}
  const leafTrust = async (): Promise<TunnelTrust> => ({
    ...{clusterName: 'root.test', hostAuthorities: [hostAuthority.publicBlob], now: Date.now()},
    leaves: new Map([['leaf.test', [hostAuthority.publicBlob]]]),
  })
  /** A leaf's end of a tunnel. */
  async function leaf(port: number, onChannelOpen: (open: ChannelOpen) => void): Promise<void> {
    const key = newKey()
    const extensions = new Map([
      ['x-teleport-role', 'Proxy'],
      ['x-teleport-authority', 'leaf.test'],
    ])
    const blob = await certify(key, 'host', {principals: ['leaf.test'], extensions})
    const tunnel = keepTunnel({
      ...{address: {host: '127.0.0.1', port}, username: 'leaf.test', onChannelOpen, random: () => 0},
      credential: async () => ({blob, signer: signerFromKey(key)}),
      cluster: async () => ({name: 'root.test', hostAuthorities: [hostAuthority.publicBlob]}),
      ...{log, now: Date.now},
    })
    ends.push(tunnel.close)
    await tunnel.opened
  }

  it('comes with what the leaf demands, and with why it ends it', async () => {
    const tunnels = await server({trust: leafTrust})
    let there: Channel | undefined
    await leaf(tunnels.address.port, open => {
      expect(readForeignDial(open.data)).toEqual(wish)
      there = open.accept(writeForeignTerms({maxSessions: 3, idleTimeoutSeconds: 900}))
    })
    await vi.waitFor(() => expect(tunnels.clusters()).toEqual(['leaf.test']))
    const way = await tunnels.dialForeign('leaf.test', wish)
    expect(way.terms).toEqual({maxSessions: 3, idleTimeoutSeconds: 900})
    expect(way.ended()).toBeUndefined()
    const gone = once(way.stream.resume(), 'close')
    const line = 'the role web is locked\u001b[2J here; ask an administrator [access_denied]'
    await there?.request(foreignEndRequest, new WireWriter().string(line).finish(), false)
    there?.end(() => there?.close())
    await gone
    expect(way.ended()).toMatchObject({
      code: 'access_denied',
      message: 'the role web is locked [2J here; ask an administrator',
    })
  })

  it('is not taken without', async () => {
    const tunnels = await server({trust: leafTrust})
    await leaf(tunnels.address.port, open => void open.accept(Buffer.from([0, 0])))
    await vi.waitFor(() => expect(tunnels.clusters()).toEqual(['leaf.test']))
    await expect(tunnels.dialForeign('leaf.test', wish)).rejects.toMatchObject({code: 'protocol_error'})
  })
})

describe('the port of tunnels', () => {
  it('passes TLS to the auth service byte for byte, both ways', async () => {
    const auth = createServer(socket => {
      socket.once('data', bytes => socket.end(Buffer.concat([Buffer.from('got '), bytes])))
    }).listen(0, '127.0.0.1')
    await once(auth, 'listening')
    ends.push(() => new Promise(resolve => auth.close(resolve)))
    const dialAuth = async (): Promise<Socket> => connect((auth.address() as AddressInfo).port, '127.0.0.1')
    const whose: string[] = []
    const tunnels = await server({
      dialAuth(address) {
        whose.push(address)
        return dialAuth()
      },
    })
    const client = connect(tunnels.address.port, '127.0.0.1')
    client.write(Buffer.from([0x16, 3, 1, 0, 5]))
    await once(client, 'connect')
    const own = `127.0.0.1:${client.localPort}`
    const bytes: Buffer[] = []
    for await (const chunk of client) bytes.push(chunk)
    expect(Buffer.concat(bytes)).toEqual(Buffer.from([...Buffer.from('got '), 0x16, 3, 1, 0, 5]))
    expect(whose).toEqual([own])
  })

  it('hangs up on anything else, and asks the auth service for nothing', async () => {
    const dialAuth = vi.fn()
    const tunnels = await server({dialAuth})
    const client = connect(tunnels.address.port, '127.0.0.1')
    client.write('GET / HTTP/1.1\r\n\r\n')
    client.resume()
    await once(client, 'close')
    expect(dialAuth).not.toHaveBeenCalled()
  })
})

describe('what a proxy says of a connection', () => {
  it('is refused where an address is none, before anybody sees it', () => {
    const bad = new WireWriter().string('192.0.2.7:22\n').string('').finish()
    expect(() => readTransport(bad)).toThrow(expect.objectContaining({code: 'protocol_error'}))
  })

  it('is read as it was written', () => {
    const certificate = publicKeyBlob(newKey())
    const dial = {certificate, login: 'root', host: 'db1', port: 22, ...transport}
    expect(readForeignDial(writeForeignDial(dial))).toEqual(dial)
    const {login: _, ...anyLogin} = dial
    expect(readForeignDial(writeForeignDial(anyLogin))).toEqual(anyLogin)
  })

  it('is refused, and nothing else, whatever the bytes are', () => {
    fc.assert(
      fc.property(fc.uint8Array({maxLength: 300}), bytes => {
        for (const read of [readForeignDial, readTransport])
          try {
            read(Buffer.from(bytes))
          } catch (error) {
            expect(error).toMatchObject({code: 'protocol_error'})
          }
      }),
    )
  })
})
