import type {Duplex} from 'node:stream'
import {beforeAll, describe, expect, test} from 'vitest'
import {supportedCiphers, supportedKex, supportedMacs} from '../../../src/lib/ssh/index.js'
import {message} from '../../../src/lib/ssh/messages.js'
import {
  nativeCiphersAvailable,
  requireKnownVersion,
  ssh2,
  ssh2Version,
  whenReady,
} from '../../../src/lib/ssh/ssh2-protocol.js'
import {createTransport} from '../../../src/lib/ssh/transport.js'
import {WireReader} from '../../../src/lib/sshcert/index.js'
import {anyHostKey, hostIdentity, type KeyType, newKey, settle, streamPair} from './fixture.js'
import {type RawPeer, rawPeer} from './raw-peer.js'

const identity = await hostIdentity()

interface RawPairOptions {
  algorithms?: {kex?: string[]; ciphers?: string[]; macs?: string[]}
  rekeyBytes?: number
  hostKeys?: (typeof identity)[]
  hostKeyAlgorithms?: string[]
}

/** Our transport against itself. */
async function rawPair(options: RawPairOptions = {}): Promise<{client: RawPeer; server: RawPeer}> {
  const [a, b] = streamPair()
  const {algorithms} = options
  const common = algorithms ? {algorithms} : {}
  const server = rawPeer(b, {kind: 'server', hostKeys: options.hostKeys ?? [identity]}, common)
  const client = rawPeer(
    a,
    {...trustingClient, hostKeyAlgorithms: options.hostKeyAlgorithms ?? anyHostKey},
    {
      ...common,
      ...(options.rekeyBytes !== undefined && {rekey: {bytes: options.rekeyBytes, milliseconds: 1e9}}),
    },
  )
  await Promise.all([client.ready, server.ready])
  return {client, server}
}

/** A client that takes any host. */
const trustingClient = {
  kind: 'client',
  hostKeyAlgorithms: anyHostKey,
  verifyHostKey: async () => undefined,
} as const

/** As a pair, but what is written to `a` in one turn arrives at `b` in one piece, as it may on a network. */
function lumpedPair(): [Duplex, Duplex] {
  const [a, left] = streamPair()
  const [right, b] = streamPair()
  const lump: Buffer[] = []
  left.on('data', (chunk: Buffer) => {
    if (lump.push(chunk) === 1) setImmediate(() => right.write(Buffer.concat(lump.splice(0))))
  })
  right.on('data', chunk => left.write(chunk))
  left.on('close', () => right.destroy())
  right.on('close', () => left.destroy())
  return [a, b]
}

/** A message above the transport layer: type 94 and a body that differs from all others. */
const payload = (index: number, length = 100): Buffer => {
  const body = Buffer.alloc(length, index % 251)
  body.writeUInt8(message.channelData)
  body.writeUInt32BE(index, 1)
  return body
}

/** All plaintext bytes that a transport sends before it has heard from its peer, and one KEXINIT. */
async function greeting(role: 'client' | 'server'): Promise<{ident: string; lists: string[][]}> {
  const [ours, theirs] = streamPair()
  if (role === 'server') rawPeer(ours, {kind: 'server', hostKeys: [identity]})
  else rawPeer(ours, {kind: 'client', verifyHostKey: async () => undefined})
  theirs.write('SSH-2.0-Test\r\n')
  const bytes = await gatherUntilQuiet(theirs)
  const newline = bytes.indexOf('\r\n')
  const packet = bytes.subarray(newline + 2)
  const reader = new WireReader(packet.subarray(5 + 17))
  const lists = Array.from({length: 10}, () => reader.string().toString().split(','))
  return {ident: bytes.subarray(0, newline).toString(), lists}
}

async function gatherUntilQuiet(stream: Duplex): Promise<Buffer> {
  const chunks: Buffer[] = []
  stream.on('data', chunk => chunks.push(chunk))
  await settle()
  return Buffer.concat(chunks)
}

/**
 * What we rely on in ssh2's transport layer, one test for each hook: a new version of ssh2 in which a hook no longer
 * bites fails here and nowhere deeper (docs/decisions/001-ssh2-transport.md).
 */
export function describeContract(native: boolean): void {
  describe(`ssh2 ${native ? 'with' : 'without'} its native ciphers`, () => {
    beforeAll(() => whenReady(async () => undefined))

    test('is the version whose insides we know, with or without native ciphers as expected', () => {
      expect(nativeCiphersAvailable()).toBe(native)
      expect(() => requireKnownVersion(ssh2Version)).not.toThrow()
      expect(() => requireKnownVersion('1.17.1')).toThrow(/only 1.17.0 is known to work/)
    })

    test('offers what it is told, strict key exchange and extension info once, and no compression', async () => {
      const client = await greeting('client')
      expect(client.ident).toMatch(/^SSH-2\.0-OpenSSH_/)
      expect(client.lists[0]).toEqual([...supportedKex, 'ext-info-c', 'kex-strict-c-v00@openssh.com'])
      expect([client.lists[2], client.lists[4], client.lists[6]]).toEqual([
        supportedCiphers,
        supportedMacs,
        ['none'],
      ])
      const server = await greeting('server')
      expect(server.lists[0]).toEqual([...supportedKex, 'kex-strict-s-v00@openssh.com'])
      expect(server.lists[1]).toEqual(['ssh-ed25519-cert-v01@openssh.com'])
      expect([server.lists[6], server.lists[7]]).toEqual([['none'], ['none']])
    })

    test.each(supportedKex)('%s gives both sides one session id', async kex => {
      const {client, server} = await rawPair({algorithms: {kex: [kex]}})
      expect((await client.ready).kex).toBe(kex)
      expect(client.transport.sessionId().length).toBeGreaterThanOrEqual(32)
      expect(client.transport.sessionId()).toEqual(server.transport.sessionId())
    })

    const suites = supportedCiphers.flatMap(cipher =>
      /gcm|poly1305/.test(cipher) ? [[cipher, '']] : supportedMacs.map(mac => [cipher, mac]),
    ) as [string, string][]
    test.each(suites)(
      '%s %s carries messages of every length exactly, before, during and after a rekey',
      async (cipher, mac) => {
        const {client, server} = await rawPair({
          algorithms: {ciphers: [cipher], macs: mac ? [mac] : ['hmac-sha2-256']},
          rekeyBytes: 30_000,
        })
        const sent = Array.from({length: 60}, (_, index) => payload(index, 5 + index * 37))
        for (const message of [...sent, payload(60, 34_000)]) client.send(message)
        for (const expected of [...sent, payload(60, 34_000)]) expect(await server.next()).toEqual(expected)
        server.send(payload(1))
        expect(await client.next()).toEqual(payload(1))
      },
    )

    test('_onPayload: all messages above the transport layer come to us, also after a rekey', async () => {
      const {client, server} = await rawPair({rekeyBytes: 1000})
      const types = [5, 6, 50, 60, 79, 80, 90, 100, 101, 192, 255]
      for (let round = 0; round < 3; round++) {
        for (const type of types) client.send(Buffer.concat([Buffer.of(type), Buffer.alloc(500)]))
        for (const type of types) expect((await server.next())[0]).toBe(type)
      }
    })

    test('_parse: a hold stops right behind the message, and what follows comes later in order', async () => {
      const [a, b] = lumpedPair()
      const seen: number[] = []
      const holder = createTransport({
        stream: b,
        role: {kind: 'server', hostKeys: [identity]},
        onReady: () => undefined,
        onDrain: () => undefined,
        onClose: () => undefined,
        onMessage(body) {
          seen.push(body.readUInt32BE(1))
          if (seen.length !== 2) return
          holder.holdTurn()
          process.nextTick(() => Promise.resolve().then(() => seen.push(-1)))
        },
      })
      const client = rawPeer(a, trustingClient)
      await client.ready
      // All of them arrive in one chunk.
      for (let index = 0; index < 5; index++) client.send(payload(index))
      await settle()
      expect(seen).toEqual([0, 1, -1, 2, 3, 4])
    })

    test('hostVerifier: the handshake waits for a verdict that takes its time, and ends with a refusal', async () => {
      for (const accepts of [true, false]) {
        const [a, b] = lumpedPair()
        const server = rawPeer(b, {kind: 'server', hostKeys: [identity]})
        let decide: () => void = () => undefined
        let ready = false
        const client = rawPeer(a, {
          kind: 'client',
          verifyHostKey: () =>
            new Promise((resolve, reject) => {
              decide = accepts ? resolve : () => reject(new Error('refused'))
            }),
        })
        void client.ready.then(() => {
          ready = true
        })
        await settle()
        expect([ready, client.isClosed()]).toEqual([false, false])
        decide()
        await settle()
        expect([ready, client.isClosed(), server.isClosed()]).toEqual([accepts, !accepts, !accepts])
      }
    })

    const unhidden = [
      ['aes128-gcm@openssh.com', 'hmac-sha2-256'],
      ['aes128-ctr', 'hmac-sha2-256-etm@openssh.com'],
    ]
    test.each(unhidden)(
      'a length of gigabytes under %s %s is refused before anything is gathered',
      async (cipher, mac) => {
        const {client, server} = await rawPair({algorithms: {ciphers: [cipher ?? ''], macs: [mac ?? '']}})
        client.stream.write(Buffer.concat([Buffer.from('7ffffff0', 'hex'), Buffer.alloc(60)]))
        expect(await server.closed).toMatchObject({message: expect.stringMatching(/^bad packet length/)})
      },
    )

    test('_kexinit: messages sent while keys are exchanged are kept and come out in order', async () => {
      const {client, server} = await rawPair({rekeyBytes: 5000})
      let congested = 0
      for (let index = 0; index < 100; index++) {
        client.send(payload(index, 400))
        if (client.transport.congested()) congested++
      }
      expect(congested).toBeGreaterThan(50)
      for (let index = 0; index < 100; index++) expect((await server.next()).readUInt32BE(1)).toBe(index)
      await settle()
      expect(client.transport.congested()).toBe(false)
    })

    test('_kex: the session id stays that of the first exchange', async () => {
      const {client, server} = await rawPair({rekeyBytes: 2000})
      const first = Buffer.from(client.transport.sessionId())
      for (let index = 0; index < 100; index++) {
        client.send(payload(index, 400))
        await server.next()
      }
      expect(client.transport.sessionId()).toEqual(first)
      expect(server.transport.sessionId()).toEqual(first)
    })

    const keyTypes: KeyType[] = ['ed25519', 'ecdsa', 'rsa']
    test.each(keyTypes)(
      '_hostKey, sign: a certificate over an %s key is presented and its signature checked, also at a rekey',
      async type => {
        const hostKey = await hostIdentity(type)
        const {client, server} = await rawPair({hostKeys: [hostKey], rekeyBytes: 3000})
        for (let index = 0; index < 20; index++) {
          client.send(payload(index, 500))
          await server.next()
        }
        expect(client.isClosed()).toBe(false)
      },
    )

    test.each(keyTypes)('a stolen certificate over an %s key is of no use', async type => {
      const stolen = {privateKey: newKey(type), publicBlob: (await hostIdentity(type)).publicBlob}
      const [a, b] = streamPair()
      rawPeer(b, {kind: 'server', hostKeys: [stolen]})
      const client = rawPeer(a, trustingClient)
      expect(await client.closed).toMatchObject({
        code: 'protocol_error',
        message: 'handshake failed: signature verification failed',
      })
    })

    test('_onHandshakeComplete: the first message under the keys is our EXT_INFO, once', async () => {
      const {client, server} = await rawPair({rekeyBytes: 1000})
      for (let index = 0; index < 10; index++) {
        client.send(payload(index, 500))
        await server.next()
      }
      await settle()
      const [info, ...others] = client.log
      const reader = new WireReader(info ?? Buffer.alloc(0))
      expect([reader.u8(), reader.u32(), reader.text()]).toEqual([message.extInfo, 1, 'server-sig-algs'])
      expect(reader.text()).toBe(
        'ssh-ed25519,ecdsa-sha2-nistp256,ecdsa-sha2-nistp384,ecdsa-sha2-nistp521,rsa-sha2-512,rsa-sha2-256',
      )
      expect(others).toEqual([])
    })

    test('DISCONNECT: reason and description reach us, and a word of farewell is orderly', async () => {
      const one = await rawPair()
      one.client.transport.disconnect()
      expect(await one.server.closed).toBeUndefined()
      const other = await rawPair()
      other.client.transport.disconnect(2)
      expect(await other.server.closed).toMatchObject({message: expect.stringContaining('the peer ended')})
    })

    test('onError, cleanup: nothing is sent or thrown once a connection has ended', async () => {
      const {client, server} = await rawPair()
      client.stream.destroy()
      await client.closed
      client.send(payload(1))
      client.transport.disconnect()
      await server.closed
      expect(server.log).toEqual([])
    })

    test('its packet writer leaves room in front for the header it makes', async () => {
      const {client, server} = await rawPair()
      client.transport.sendFilled(9, (packet, at) => {
        packet.fill(0xee, at, at + 9)
      })
      expect(await server.next()).toEqual(Buffer.alloc(9, 0xee))
      expect(ssh2().Protocol.length).toBe(1)
    })
  })
}
