import {randomBytes} from 'node:crypto'
import {once} from 'node:events'
import {type Duplex, PassThrough} from 'node:stream'
import {pipeline} from 'node:stream/promises'
import {describe, expect, test, vi} from 'vitest'
import {borrow, supportedCiphers, supportedMacs, writeLent} from '../../../src/lib/ssh/index.js'
import {giveBackRoom, packetMaker, takeRoom} from '../../../src/lib/ssh/packet-room.js'
import {maxPayload} from '../../../src/lib/ssh/ssh2-protocol.js'
import {drain, openChannel, pair, tcpPair} from './fixture.js'

/** Gathers what is lent, and spoils it as the lender may. */
function borrowed(): {take(bytes: Buffer): void; all(): Buffer} {
  const copies: Buffer[] = []
  return {
    take(bytes) {
      copies.push(Buffer.from(bytes))
      bytes.fill(0xdb)
    },
    all: () => Buffer.concat(copies),
  }
}

/** Passes everything on in pieces of all sizes, each to be read by itself. */
async function cutUp(from: Duplex, to: Duplex): Promise<void> {
  let length = 1
  for await (const chunk of from as AsyncIterable<Buffer>) {
    for (let at = 0; at < chunk.length; at += length, length = (length * 7 + 3) % 4801) {
      to.write(chunk.subarray(at, at + length))
      // The reader has read when both sockets had their turn.
      for (let turn = 0; turn < 2; turn++) await new Promise(resolve => setImmediate(resolve))
    }
  }
  to.end()
}

describe('bytes that are lent', () => {
  test('by a socket are in one buffer, whatever comes', async () => {
    const [writer, reader] = await tcpPair()
    const content = randomBytes(3_000_000)
    const lent = borrowed()
    const buffers = new Set<ArrayBufferLike>()
    const owned = vi.fn()
    reader.on('data', owned)
    borrow(reader, (bytes: Buffer) => {
      buffers.add(bytes.buffer)
      lent.take(bytes)
    })
    writer.end(content)
    await new Promise(resolve => reader.once('end', resolve))
    expect(lent.all().equals(content)).toBe(true)
    expect(owned).not.toHaveBeenCalled()
    expect(buffers.size).toBe(1)
  })

  test('by a socket come behind what waited, and wait themselves while it is paused', async () => {
    const [writer, reader] = await tcpPair()
    reader.unshift(Buffer.from('first '))
    const seen: string[] = []
    const take = (bytes: Buffer): void => {
      seen.push(bytes.toString())
      reader.pause()
      setImmediate(() => reader.resume())
    }
    reader.on('data', take)
    borrow(reader, take)
    writer.end('second')
    await new Promise(resolve => reader.once('end', resolve))
    expect(seen.join('')).toBe('first second')
  })

  test("are nobody's alone where another one listens", async () => {
    const [writer, reader] = await tcpPair()
    const {client, server} = await pair()
    const [near, far] = await openChannel({client, server})
    for (const [from, to] of [[writer, reader] as const, [far, near] as const]) {
      const first = borrowed()
      to.on('data', first.take)
      borrow(to, first.take)
      const seen = vi.fn()
      to.on('data', chunk => seen(chunk.length))
      const content = randomBytes(100_000)
      from.end(content)
      await new Promise(resolve => to.once('end', resolve))
      expect(first.all().equals(content)).toBe(true)
      expect(seen.mock.calls.flat().reduce((sum, length) => sum + length, 0)).toBe(content.length)
    }
    client.disconnect()
    await server.closed
  })

  test('are not to be had from a stream that passes on what it was given', () => {
    const stream = new PassThrough()
    const take = vi.fn()
    borrow(stream, take)
    stream.resume().end('content')
    expect(take).not.toHaveBeenCalled()
  })

  test.each([
    ['in memory', undefined],
    ['on sockets', tcpPair],
  ])(
    'by a channel and to a channel %s arrive to the byte, however slow the reader',
    async (_where, streams) => {
      const {client, server} = await pair(streams ? {streams: await streams()} : {})
      const [near, far] = await openChannel({client, server})
      const [onward, end] = await openChannel({client, server})
      const content = randomBytes(9_000_000)
      const write = (bytes: Buffer): void => {
        if (!writeLent(onward, bytes, () => undefined)) {
          near.pause()
          onward.once('drain', () => near.resume())
        }
        bytes.fill(0xdb)
      }
      near.on('data', write)
      near.once('end', () => onward.end())
      borrow(near, write)
      far.end(content)
      // More than the window comes before anybody reads.
      await vi.waitFor(() => expect(end.unread).toBeGreaterThan(2_000_000))
      expect((await drain(end)).equals(content)).toBe(true)
      client.disconnect()
      await server.closed
    },
  )

  test('by a channel that waited are lent, too, as soon as its reader goes on', async () => {
    const {client, server} = await pair({streams: await tcpPair()})
    const [near, far] = await openChannel({client, server})
    const content = randomBytes(1_500_000)
    const lent = borrowed()
    const owned = vi.fn()
    near.on('data', owned)
    borrow(near, bytes => {
      lent.take(bytes)
      near.pause()
      setImmediate(() => near.resume())
    })
    near.pause()
    far.end(content)
    await vi.waitFor(() => expect(near.unread).toBe(content.length))
    near.resume()
    await once(near, 'end')
    expect(lent.all().equals(content)).toBe(true)
    expect(owned).not.toHaveBeenCalled()
    client.disconnect()
    await server.closed
  })

  test('to a socket may be used again at once', async () => {
    const [writer, reader] = await tcpPair()
    const content = randomBytes(5_000_000)
    const received = drain(reader)
    for (let at = 0; at < content.length; at += 32_768) {
      const piece = Buffer.from(content.subarray(at, at + 32_768))
      await new Promise<void>(resolve => {
        writeLent(writer, piece, resolve)
        piece.fill(0xdb)
      })
    }
    writer.end()
    expect((await received).equals(content)).toBe(true)
  })
})

describe('room for packets', () => {
  const suites = supportedCiphers.flatMap(cipher =>
    /gcm|poly1305/.test(cipher)
      ? [[cipher, 'none'] as const]
      : supportedMacs.map(mac => [cipher, mac] as const),
  )

  test.each(suites)(
    '%s %s: bulk data over sockets arrives to the byte, through new keys too',
    async (cipher, mac) => {
      const algorithms = {ciphers: [cipher], ...(mac !== 'none' && {macs: [mac]})}
      const rekey = {bytes: 1_000_000, milliseconds: 1e9}
      const {client, server} = await pair({
        streams: await tcpPair(),
        client: {algorithms, rekey},
        server: {algorithms},
      })
      const [near, far] = await openChannel({client, server})
      const content = randomBytes(3_000_000)
      const pieces = function* () {
        for (let at = 0, length = 1; at < content.length; at += length, length = (length * 7 + 5) % 40_000)
          yield content.subarray(at, at + length)
      }
      const received = drain(far)
      const echoed = drain(near)
      await Promise.all([pipeline(pieces, near), pipeline([content], far)])
      expect((await received).equals(content)).toBe(true)
      expect((await echoed).equals(content)).toBe(true)
      client.disconnect()
      await server.closed
    },
  )

  test.each(suites)('%s %s: packets may be cut anywhere on their way', async (cipher, mac) => {
    const algorithms = {ciphers: [cipher], ...(mac !== 'none' && {macs: [mac]})}
    const [near, nearEnd] = await tcpPair()
    const [farEnd, far] = await tcpPair()
    const cutting = [cutUp(nearEnd, farEnd), cutUp(farEnd, nearEnd)]
    const rekey = {bytes: 60_000, milliseconds: 1e9}
    const {client, server} = await pair({
      streams: [near, far],
      client: {algorithms, rekey},
      server: {algorithms},
    })
    const [here, there] = await openChannel({client, server})
    const content = randomBytes(200_000)
    const received = drain(there)
    here.end(content)
    expect((await received).equals(content)).toBe(true)
    client.disconnect()
    await server.closed
    await Promise.all(cutting)
  })

  test.each([
    ['chacha20-poly1305@openssh.com', 'none'],
    ['aes128-gcm@openssh.com', 'none'],
    ['aes256-ctr', 'hmac-sha2-256-etm@openssh.com'],
    ['aes256-ctr', 'hmac-sha2-256'],
  ])('%s %s: none is made for a packet that comes in several reads', async (cipher, mac) => {
    const algorithms = {ciphers: [cipher], ...(mac !== 'none' && {macs: [mac]})}
    const options = {client: {algorithms}, server: {algorithms}}
    const outer = await pair({streams: await tcpPair(), ...options})
    const [nearEnd, farEnd] = await openChannel(outer)
    const inner = await pair({streams: [nearEnd, farEnd], ...options})
    const [near, far] = await openChannel(inner)
    const content = randomBytes(8_000_000)
    const lent = borrowed()
    far.on('data', (chunk: Buffer) => lent.take(chunk))
    borrow(far, lent.take)
    const made = vi.spyOn(Buffer, 'allocUnsafe')
    near.end(content)
    await once(far, 'end')
    const large = made.mock.calls.filter(([length]) => length > 16_384)
    made.mockRestore()
    expect(lent.all().equals(content)).toBe(true)
    // Each of 250 packets inside of a channel comes in two pieces. Those with which the first key exchange ends count.
    expect(large.length).toBeLessThan(10)
    for (const {client, server} of [inner, outer]) {
      client.disconnect()
      await server.closed
    }
  })

  test.each([
    ['blocks of 8, length hidden', (length: number) => length % 8, 16],
    ['blocks of 16, length in the clear', (length: number) => length % 16, 16],
    ['blocks of 16, length encrypted with the rest', (length: number) => (length + 4) % 16, 32],
  ])('is laid out as the cipher lays it out: %s', (_layout, offBy, macLength) => {
    const allocPacket = (payload: number): Buffer => {
      let padding = 4
      while (offBy(1 + payload + padding) !== 0) padding++
      const packet = Buffer.alloc(5 + payload + padding + macLength)
      packet.writeUInt32BE(1 + payload + padding)
      packet[4] = padding
      return packet
    }
    const make = packetMaker()
    for (const payload of [0, 1, 5, 9, 17, 1000, 4095, 4096, 32_777, maxPayload]) {
      const packet = make({allocPacket}, payload) as Buffer
      const length = packet.readUInt32BE(0)
      const padding = packet[4] as number
      expect(offBy(length)).toBe(0)
      expect(padding).toBeGreaterThanOrEqual(4)
      expect(length).toBe(1 + payload + padding)
      expect(packet.length).toBe(4 + length + macLength)
    }
    expect(make({allocPacket}, maxPayload + 1)).toBeUndefined()
  })

  test('is used again when it was given back, and no other buffer is', () => {
    const room = takeRoom(20_000) as Buffer
    giveBackRoom(room)
    giveBackRoom(Buffer.alloc(20_000))
    const [again, another] = [takeRoom(30_000) as Buffer, takeRoom(30_000) as Buffer]
    expect(again.buffer).toBe(room.buffer)
    expect(another.buffer.byteLength).toBe(room.buffer.byteLength)
    expect(another.buffer).not.toBe(room.buffer)
  })
})
