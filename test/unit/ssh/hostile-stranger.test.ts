import {randomBytes} from 'node:crypto'
import type {Duplex} from 'node:stream'
import fc from 'fast-check'
import {describe, expect, test, vi} from 'vitest'
import type {SallyportError} from '../../../src/lib/errors/index.js'
import {acceptOn, connectOn, settle, streamPair, tcpPair} from './fixture.js'
import {insidesOf, rawClient, rawClientOfServer} from './raw-peer.js'

/** Our server, and the stream on which a stranger talks to it. */
function facingServer(graceMilliseconds = 2000): {stranger: Duplex; outcome: Promise<SallyportError>} {
  const [stranger, b] = streamPair()
  stranger.resume()
  const outcome = acceptOn(b, {graceMilliseconds}).then(
    () => Promise.reject(new Error('the stranger was let in')),
    error => error as SallyportError,
  )
  return {stranger, outcome}
}

function facingClient(timeoutMilliseconds = 2000): {stranger: Duplex; outcome: Promise<SallyportError>} {
  const [a, stranger] = streamPair()
  stranger.resume()
  const outcome = connectOn(a, {timeoutMilliseconds}).then(
    () => Promise.reject(new Error('the stranger was believed')),
    error => error as SallyportError,
  )
  return {stranger, outcome}
}

/** SSH_MSG_IGNORE, which may come at any time except where it would help an attacker. */
const ignoreMessage = 2

const notSsh = {code: 'protocol_error', message: 'the peer does not speak SSH: it sent no identification'}

describe('a client that does not identify itself', () => {
  test.each([
    ['speaks HTTP', 'GET / HTTP/1.1\r\nHost: x\r\n\r\n'],
    ['greets first, which only servers may', 'hello\r\nSSH-2.0-x\r\n'],
    ['sends 256 bytes without a line break', 'SSH-2.0-'.padEnd(256, 'x')],
    ['sends zeros', '\0'.repeat(300)],
  ])('and %s', async (_what, text) => {
    const {stranger, outcome} = facingServer()
    stranger.write(text)
    expect(await outcome).toMatchObject(notSsh)
  })

  test('and speaks SSH-1', async () => {
    const {stranger, outcome} = facingServer()
    stranger.write('SSH-1.5-x\r\n')
    expect(await outcome).toMatchObject({code: 'protocol_error', message: 'invalid identification string'})
  })

  test('and is silent is put out after the grace time', async () => {
    const {outcome} = facingServer(50)
    expect(await outcome).toMatchObject({code: 'timeout'})
  })

  test('and hangs up', async () => {
    const {stranger, outcome} = facingServer()
    stranger.end()
    expect(await outcome).toMatchObject({message: 'handshake failed: EOF'})
  })
})

describe('a server that does not identify itself', () => {
  test('but greets for ever is left', async () => {
    const {stranger, outcome} = facingClient()
    for (let line = 0; line < 2000; line++) stranger.write(`${'x'.repeat(60)}\r\n`)
    expect(await outcome).toMatchObject(notSsh)
  })

  test('but sends one line that never ends is left', async () => {
    const {stranger, outcome} = facingClient()
    stranger.write('x'.repeat(9000))
    expect(await outcome).toMatchObject(notSsh)
  })

  test('and hangs up at once, as sshd does beyond MaxStartups', async () => {
    const {stranger, outcome} = facingClient()
    stranger.end()
    expect(await outcome).toMatchObject({code: 'protocol_error', message: 'handshake failed: EOF'})
  })

  test('and is reset', async () => {
    const [a, b] = await tcpPair()
    const connecting = connectOn(a)
    ;(b as unknown as {resetAndDestroy(): void}).resetAndDestroy()
    await expect(connecting).rejects.toMatchObject({
      message: expect.stringMatching(/the connection broke: .*ECONNRESET/),
    })
  })

  test('and was gone before we began', async () => {
    const [a] = streamPair()
    a.destroy()
    await expect(connectOn(a)).rejects.toMatchObject({code: 'protocol_error'})
    await expect(acceptOn(a)).rejects.toMatchObject({code: 'protocol_error'})
  })
})

test('a connection that arrives a byte at a time is like any other, greeting and all', async () => {
  const [a, left] = streamPair()
  const [right, b] = streamPair()
  left.write('Welcome to\r\nthis host\r\n')
  const trickle = (from: Duplex, to: Duplex): void => {
    from.on('data', (chunk: Buffer) => {
      for (const byte of chunk) to.write(Buffer.of(byte))
    })
  }
  trickle(left, right)
  trickle(right, left)
  const [client, accepted] = await Promise.all([connectOn(a), acceptOn(b)])
  expect(client.remoteIdent()).toMatch(/^SSH-2\.0-OpenSSH_.*Sallyport$/)
  accepted.connection.onGlobalRequest = () => Buffer.from('pong')
  expect((await client.request('ping'))?.toString()).toBe('pong')
  client.disconnect()
})

describe('a stranger that speaks nonsense', () => {
  const ident = Buffer.from('SSH-2.0-x\r\n')
  const length = (value: number): Buffer => {
    const bytes = Buffer.alloc(4)
    bytes.writeUInt32BE(value)
    return bytes
  }

  test.each([0, 1, 7, 35_001, 2 ** 31, 2 ** 32 - 1])(
    'a packet of %d bytes is refused by its length alone',
    async size => {
      for (const facing of [facingServer, facingClient]) {
        const {stranger, outcome} = facing()
        stranger.write(Buffer.concat([ident, length(size)]))
        expect(await outcome).toMatchObject({code: 'protocol_error', message: 'bad packet length'})
      }
    },
  )

  test('more padding than packet', async () => {
    const {stranger, outcome} = facingServer()
    const packet = Buffer.alloc(16, 0xff)
    length(12).copy(packet)
    stranger.write(Buffer.concat([ident, packet]))
    expect(await outcome).toMatchObject({code: 'protocol_error', message: 'the peer sent what is not SSH'})
  })

  test('key exchange without a KEXINIT', async () => {
    const {stranger, outcome} = facingServer()
    const packet = Buffer.concat([length(12), Buffer.of(4, 30, 0, 0, 0, 0, 0, 0), Buffer.alloc(4)])
    stranger.write(Buffer.concat([ident, packet]))
    expect(await outcome).toMatchObject({code: 'protocol_error', message: 'the peer sent what is not SSH'})
  })

  test('messages of other layers before the keys', async () => {
    for (const type of [5, 50, 80, 90, 94]) {
      const {stranger, outcome} = facingServer()
      const packet = Buffer.concat([length(12), Buffer.of(4, type, 0, 0, 0, 0, 0, 0), Buffer.alloc(4)])
      stranger.write(Buffer.concat([ident, packet]))
      expect(await outcome).toMatchObject({code: 'protocol_error'})
    }
  })

  test('any bytes at all: refused, and nothing is thrown', async () => {
    const crash = vi.fn()
    process.on('uncaughtException', crash)
    process.on('unhandledRejection', crash)
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({maxLength: 300}), fc.boolean(), async (bytes, asServer) => {
        const {stranger, outcome} = (asServer ? facingServer : facingClient)(200)
        stranger.write(Buffer.concat([ident, Buffer.from(bytes)]))
        stranger.end()
        expect(['protocol_error', 'timeout']).toContain((await outcome).code)
      }),
      {numRuns: 200},
    )
    process.off('uncaughtException', crash)
    process.off('unhandledRejection', crash)
    expect(crash).not.toHaveBeenCalled()
  })

  test('a byte flipped in transit ends the connection, whichever it is', async () => {
    for (const at of [4, 20, 40, 55]) {
      const [a, left] = streamPair()
      const [right, b] = streamPair()
      let flip = false
      left.on('data', (chunk: Buffer) => {
        const copy = Buffer.from(chunk)
        if (flip) copy.writeUInt8(copy.readUInt8(at) ^ 1, at)
        flip = false
        right.write(copy)
      })
      right.on('data', chunk => left.write(chunk))
      const [client, {connection}] = await Promise.all([connectOn(a), acceptOn(b)])
      flip = true
      void client.request('x'.repeat(100))
      expect(await connection.closed).toMatchObject({code: 'protocol_error'})
    }
  })

  test('a packet too long under keys ends the connection before it is gathered', async () => {
    const {peer, server} = await rawClientOfServer()
    const {arrayBuffers} = process.memoryUsage()
    peer.stream.write(Buffer.concat([Buffer.of(0x7f, 0xff, 0xff, 0xf0), randomBytes(60)]))
    expect(await server.closed).toMatchObject({
      code: 'protocol_error',
      message: expect.stringMatching(/^bad packet length/),
    })
    expect(process.memoryUsage().arrayBuffers - arrayBuffers).toBeLessThan(10_000_000)
  })
})

describe('Terrapin', () => {
  test('a message before KEXINIT, which shifts the count of packets, is noticed', async () => {
    const {stranger, outcome} = facingServer()
    const chunks: Buffer[] = []
    stranger.on('data', chunk => chunks.push(chunk))
    const [a, b] = streamPair()
    // A client of ours, with an IGNORE put in front of its KEXINIT.
    const client = rawClient(a)
    client.catch(() => undefined)
    let first = true
    b.on('data', (chunk: Buffer) => {
      if (!first) {
        stranger.write(chunk)
        return
      }
      first = false
      const end = chunk.indexOf('\n') + 1
      const ignore = Buffer.from([0, 0, 0, 12, 6, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])
      stranger.write(Buffer.concat([chunk.subarray(0, end), ignore, chunk.subarray(end)]))
    })
    for (const chunk of chunks) b.write(chunk)
    stranger.on('data', chunk => b.write(chunk))
    expect(await outcome).toMatchObject({
      code: 'protocol_error',
      message: 'handshake failed: KEXINIT not first packet in strict KEX mode',
    })
  })

  test('a message between KEXINIT and NEWKEYS ends the handshake', async () => {
    const [a, b] = streamPair()
    const {made: client, insides} = insidesOf(() => rawClient(a))
    client.catch(() => undefined)
    const accepting = acceptOn(b)
    accepting.catch(() => undefined)
    b.pause()
    await settle()
    const {_cipher: cipher} = insides as unknown as {
      _cipher: {allocPacket(length: number): Buffer; encrypt(packet: Buffer): void}
    }
    const packet = cipher.allocPacket(5)
    packet.fill(0, 5, 10)
    packet.writeUInt8(ignoreMessage, 5)
    cipher.encrypt(packet)
    b.resume()
    await expect(accepting).rejects.toMatchObject({
      code: 'protocol_error',
      message: 'received unexpected packet type 2',
    })
  })
})
