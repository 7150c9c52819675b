import {randomBytes} from 'node:crypto'
import {once} from 'node:events'
import {describe, expect, test} from 'vitest'
import type {ConnectionCore} from '../../../src/lib/ssh/connection.js'
import {createConnection} from '../../../src/lib/ssh/connection.js'
import {type Channel, supportedCiphers} from '../../../src/lib/ssh/index.js'
import {message} from '../../../src/lib/ssh/messages.js'
import type {RekeyLimits} from '../../../src/lib/ssh/rekey-policy.js'
import {rekeyPolicy} from '../../../src/lib/ssh/rekey-policy.js'
import {createTransport, type Transport} from '../../../src/lib/ssh/transport.js'
import {anyHostKey, drain, hostIdentity, openChannel, settle, streamPair} from './fixture.js'
import {channelOpen, insidesOf, rawClientOfServer, rawPeer} from './raw-peer.js'

const identity = await hostIdentity()

/** Two connections without authentication, whose rekeying a test decides about. */
async function connections(limits: {
  client?: RekeyLimits
  server?: RekeyLimits
  ciphers?: string[]
}): Promise<{
  client: ConnectionCore
  server: ConnectionCore
  exchanges: () => number
}> {
  const [a, b] = streamPair()
  let exchanges = 0
  const make = (
    stream: typeof a,
    role: Parameters<typeof rawPeer>[1],
    rekey: RekeyLimits | undefined,
    ready: () => void,
  ): ConnectionCore => {
    const transport: Transport = createTransport({
      ...{stream, role},
      ...(rekey && {rekey}),
      ...(limits.ciphers && {algorithms: {ciphers: limits.ciphers}}),
      onReady: ready,
      onDrain: () => connection.drained(),
      onMessage: payload => payload[0] !== message.extInfo && connection.receive(payload),
      onClose: error => connection.ended(error),
    })
    const connection = createConnection(transport)
    return connection
  }
  const [ready, resolve] = latch()
  const server = make(b, {kind: 'server', hostKeys: [identity]}, limits.server, () => undefined)
  const {made: client, insides} = insidesOf(() =>
    make(
      a,
      {kind: 'client', hostKeyAlgorithms: anyHostKey, verifyHostKey: async () => undefined},
      limits.client,
      resolve,
    ),
  )
  const complete = insides._onHandshakeComplete
  insides._onHandshakeComplete = negotiated => {
    exchanges++
    complete(negotiated)
  }
  await ready
  return {client, server, exchanges: () => exchanges}
}

function latch(): [Promise<void>, () => void] {
  let open: () => void = () => undefined
  return [
    new Promise<void>(resolve => {
      open = resolve
    }),
    () => open(),
  ]
}

const every = (bytes: number): RekeyLimits => ({bytes, milliseconds: 1e9})

describe('new keys during a transfer', () => {
  const roles: ('client' | 'server')[] = ['client', 'server']
  const cases = roles.flatMap(role => supportedCiphers.map(cipher => [role, cipher] as const))
  test.each(cases)('asked for by the %s under %s, both ways at once', async (role, cipher) => {
    const ends = await connections({[role]: every(300_000), ciphers: [cipher]})
    const [local, remote] = await openChannel(ends)
    const [up, down] = [randomBytes(3_000_000), randomBytes(3_000_000)]
    local.end(up)
    remote.end(down)
    const [atServer, atClient] = await Promise.all([drain(remote), drain(local)])
    expect(atServer.equals(up) && atClient.equals(down)).toBe(true)
    expect(ends.exchanges()).toBeGreaterThan(8)
  })

  test('asked for by both at once', async () => {
    const ends = await connections({client: every(200_000), server: every(200_000)})
    const [local, remote] = await openChannel(ends)
    const data = randomBytes(4_000_000)
    remote.pipe(remote)
    local.end(data)
    expect((await drain(local)).equals(data)).toBe(true)
    expect(ends.exchanges()).toBeGreaterThan(20)
  })
})

describe('a peer that makes a weapon of key exchange', () => {
  test('is stopped when it asks for new keys over and over', async () => {
    const [a, b] = streamPair()
    const server = rawPeer(b, {kind: 'server', hostKeys: [identity]})
    const {made: client, insides} = insidesOf(() =>
      rawPeer(a, {kind: 'client', hostKeyAlgorithms: anyHostKey, verifyHostKey: async () => undefined}),
    )
    await client.ready
    let exchanges = 0
    const complete = insides._onHandshakeComplete
    insides._onHandshakeComplete = negotiated => {
      exchanges++
      complete(negotiated)
      process.nextTick(() => client.isClosed() || insides.rekey())
    }
    insides.rekey()
    expect(await server.closed).toMatchObject({
      code: 'limit_exceeded',
      message: 'the peer exchanges keys over and over',
    })
    expect(exchanges).toBeLessThan(40)
  })

  test('is stopped when it has us answer without finishing the exchange', async () => {
    const {peer, server} = await stuckInExchange()
    for (let index = 0; index < 5000; index++) {
      peer.send(Buffer.from('\x50\0\0\0\x15keepalive@openssh.com\x01', 'latin1'))
    }
    expect(await server.closed).toMatchObject({code: 'limit_exceeded'})
  })

  /** Our server has sent KEXINIT, and the raw client, deaf to it, goes on with messages. */
  async function stuckInExchange() {
    const [a, b] = streamPair()
    const {made, insides} = insidesOf(() => rawClientOfServer({}, [a, b]))
    const {peer, server} = await made
    a.pause()
    insides.rekey()
    return {insides, peer, server}
  }

  test('gets no data queued for it meanwhile, whatever window it has given', async () => {
    const {insides, peer, server} = await stuckInExchange()
    const opened = new Promise<Channel>(resolve => {
      server.onChannelOpen = open => resolve(open.accept())
    })
    peer.send(channelOpen({window: 0xffffffff}))
    const channel = await opened
    const source = randomBytes(1_000_000)
    let accepted = 0
    while (channel.write(source)) accepted += source.length
    await settle()
    expect(accepted).toBe(0)
    expect(channel.writableLength).toBe(source.length)
    const queued = (insides as unknown as {_queue: Buffer[]})._queue.length
    expect(queued).toBeLessThan(5)
    peer.stream.resume()
    await once(channel, 'drain')
    const received = await peer.nextOf(message.channelData)
    expect(received.subarray(9).equals(source.subarray(0, received.length - 9))).toBe(true)
    peer.transport.disconnect()
    expect(await server.closed).toBeUndefined()
  })
})

describe('when new keys are due', () => {
  test('after a gigabyte either way, or an hour with traffic', () => {
    let now = 0
    const policy = rekeyPolicy({bytes: 1000, milliseconds: 3600}, () => now)
    expect(policy.due()).toBe(false)
    policy.count(999)
    expect(policy.due()).toBe(false)
    policy.count(1)
    expect(policy.due()).toBe(true)
    policy.exchanged()
    expect(policy.due()).toBe(false)
    now += 3600
    expect(policy.due()).toBe(false)
    policy.count(1)
    expect(policy.due()).toBe(true)
  })

  test('an exchange with some data or some time behind it is no offence', () => {
    let now = 0
    const policy = rekeyPolicy({bytes: 1e9, milliseconds: 1e9}, () => now)
    for (let round = 0; round < 1000; round++) {
      if (round % 2 === 0) policy.count(16 * 1024)
      else now += 10_000
      policy.exchanged()
    }
    expect(() => {
      for (let round = 0; round <= 32; round++) policy.exchanged()
    }).toThrow(/over and over/)
  })
})
