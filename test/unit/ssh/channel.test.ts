import {randomBytes} from 'node:crypto'
import {once} from 'node:events'
import {describe, expect, test, vi} from 'vitest'
import {Channel, ChannelRefused, openFailure} from '../../../src/lib/ssh/index.js'
import {message} from '../../../src/lib/ssh/messages.js'
import {maxPacketSize, windowSize} from '../../../src/lib/ssh/window.js'
import {drain, openChannel, pair, settle, tcpPair} from './fixture.js'
import {
  bare,
  channelData,
  channelOpen,
  channelRequest,
  confirmation,
  extendedData,
  type OpenFields,
  type RawPeer,
  rawClientOfServer,
  rawServerOfClient,
  senderChannel,
  windowAdjust,
} from './raw-peer.js'

interface RawChannel {
  peer: RawPeer
  channel: Channel
  /** The channel's number at our end, to be written into messages. */
  id: number
  closed: Promise<unknown>
}

/** A channel of our server whose other end a test plays. */
async function rawChannel(fields: OpenFields = {}): Promise<RawChannel> {
  const {peer, server} = await rawClientOfServer()
  const opened = new Promise<Channel>(resolve => {
    server.onChannelOpen = open => resolve(open.accept())
  })
  peer.send(channelOpen(fields))
  const id = senderChannel(await peer.nextOf(message.channelOpenConfirmation))
  return {peer, channel: await opened, id, closed: server.closed}
}

/** Data bytes and end markers that a raw peer has received. */
const received = (peer: RawPeer) => ({
  data: Buffer.concat(
    peer.log.filter(payload => payload[0] === message.channelData).map(payload => payload.subarray(9)),
  ),
  extended: Buffer.concat(
    peer.log
      .filter(payload => payload[0] === message.channelExtendedData)
      .map(payload => payload.subarray(13)),
  ),
  credit: peer.log
    .filter(payload => payload[0] === message.channelWindowAdjust)
    .reduce((sum, payload) => sum + payload.readUInt32BE(5), 0),
  types: peer.log.map(payload => payload[0]),
})

describe('what a channel sends', () => {
  test('never goes beyond the window nor the packet size of the peer', async () => {
    const {peer, channel, id} = await rawChannel({window: 100_000, maxPacket: 1000})
    const data = randomBytes(300_000)
    channel.write(data)
    await settle()
    expect(received(peer).data.equals(data.subarray(0, 100_000))).toBe(true)
    expect(Math.max(...peer.log.map(payload => payload.length))).toBeLessThanOrEqual(1000 + 9)
    peer.send(windowAdjust(id, 50_001))
    await settle()
    expect(received(peer).data.equals(data.subarray(0, 150_001))).toBe(true)
    peer.send(windowAdjust(id, 1_000_000))
    await settle(60)
    expect(received(peer).data.equals(data)).toBe(true)
  })

  test('waits without a window and makes its writer wait', async () => {
    const {peer, channel, id} = await rawChannel({window: 0})
    let wrote = 0
    while (channel.write(Buffer.alloc(10_000))) wrote += 10_000
    await settle()
    expect(wrote).toBeLessThan(200_000)
    expect(received(peer).data.length).toBe(0)
    peer.send(windowAdjust(id, 1_000_000))
    await once(channel, 'drain')
    expect(channel.writableLength).toBe(0)
  })

  test('is packed: many small writes behind a closed window make few messages', async () => {
    const {peer, channel, id} = await rawChannel({window: 0})
    for (let index = 0; index < 1000; index++) channel.write(Buffer.alloc(100, index))
    await settle()
    peer.send(windowAdjust(id, 1_000_000))
    await settle(60)
    expect(received(peer).data.length).toBe(100_000)
    expect(peer.log.filter(payload => payload[0] === message.channelData).length).toBeLessThan(10)
  })

  test('ends only when stderr is out as well: nothing may follow EOF', async () => {
    const {peer, channel, id} = await rawChannel({window: 1000})
    channel.stderr.write(randomBytes(5000))
    channel.stderr.write(randomBytes(5000))
    channel.end(randomBytes(5000))
    await settle()
    expect(received(peer).types).not.toContain(message.channelEof)
    peer.send(windowAdjust(id, 100_000))
    await once(channel, 'finish')
    await settle()
    const {types, data, extended} = received(peer)
    expect([data.length, extended.length]).toEqual([5000, 10_000])
    expect(types.at(-1)).toBe(message.channelEof)
  })

  test('to stderr after the end is an error of the writer alone', async () => {
    const {peer, channel} = await rawChannel()
    channel.end()
    await once(channel, 'finish')
    const error = await new Promise(resolve => channel.stderr.write('late', resolve))
    expect(error).toMatchObject({message: 'data was written after the end of a channel'})
    await settle()
    expect(received(peer).types.at(-1)).toBe(message.channelEof)
  })

  test('after the end or the close does not bring the process down', async () => {
    const {peer, channel, id} = await rawChannel()
    channel.end('bye')
    channel.write('late')
    peer.send(bare(message.channelClose, id))
    await settle()
    channel.write('later')
    channel.stderr.write('later')
    channel.destroy(new Error('for a reason'))
    await settle()
    expect(received(peer).data.toString()).toBe('bye')
  })

  test('is dropped by close, and whoever waits for it goes on', async () => {
    const {peer, channel} = await rawChannel({window: 10})
    const written = new Promise(resolve => channel.write(randomBytes(1000), resolve))
    channel.close()
    await written
    await settle()
    expect(received(peer).types.filter(type => type === message.channelClose)).toHaveLength(1)
    expect(received(peer).data.length).toBe(10)
  })
})

describe('what a channel receives', () => {
  test('is held back while nobody reads: the peer gets no credit beyond the window', async () => {
    const {peer, channel, id} = await rawChannel()
    for (let sent = 0; sent < windowSize; sent += maxPacketSize)
      peer.send(channelData(id, Buffer.alloc(maxPacketSize)))
    await vi.waitFor(() => expect(channel.unread).toBe(windowSize))
    expect(received(peer).credit).toBe(0)
    channel.resume()
    await settle()
    expect(channel.unread).toBe(0)
    expect(received(peer).credit).toBeGreaterThanOrEqual((windowSize * 3) / 4)
  })

  test('a reader that pauses pauses a writer at the other end of real sockets', async () => {
    const ends = await pair({streams: await tcpPair()})
    const [local, remote] = await openChannel(ends)
    let written = 0
    const write = (): void => {
      while (!remote.destroyed && remote.write(Buffer.alloc(50_000))) written += 50_000
      remote.once('drain', write)
    }
    write()
    await vi.waitFor(() => expect(local.unread).toBe(windowSize))
    const stalled = written
    await settle()
    expect(written).toBe(stalled)
    // One window at the reader, little more than one high water mark at the writer.
    expect(written).toBeLessThan(windowSize + 400_000)
    local.resume()
    await vi.waitFor(() => expect(written).toBeGreaterThan(stalled + 10 * windowSize))
    ends.client.disconnect()
  })

  test('beyond the window ends the connection', async () => {
    const {peer, id, closed} = await rawChannel()
    for (let sent = 0; sent < windowSize; sent += maxPacketSize)
      peer.send(channelData(id, Buffer.alloc(maxPacketSize)))
    peer.send(channelData(id, 'x'))
    expect(await closed).toMatchObject({message: 'the peer sent more data than its window allows'})
  })

  test('of an extended type nobody knows is dropped, but counts', async () => {
    const {peer, channel, id} = await rawChannel()
    channel.resume()
    channel.stderr.resume()
    for (let sent = 0; sent < 10 * windowSize; sent += maxPacketSize)
      peer.send(extendedData(id, Buffer.alloc(maxPacketSize), 7))
    await settle(60)
    expect(received(peer).credit).toBeGreaterThanOrEqual(9 * windowSize)
    expect(channel.unread + channel.stderr.unread).toBe(0)
  })

  test('one byte a message costs little more than its bytes', async () => {
    const {peer, channel, id} = await rawChannel()
    const before = process.memoryUsage()
    const message = channelData(id, 'x')
    for (let sent = 0; sent < 300_000; sent++) {
      peer.send(message)
      if (sent % 5000 === 0) await settle(1)
    }
    await vi.waitFor(() => expect(channel.unread).toBe(300_000))
    globalThis.gc?.()
    const after = process.memoryUsage()
    const internal = (channel as unknown as {_readableState: {buffer: unknown[]}})._readableState.buffer
    expect(internal.length).toBeLessThan(3)
    expect(after.arrayBuffers - before.arrayBuffers).toBeLessThan(40_000_000)
    expect((await readAll(channel, 300_000)).equals(Buffer.alloc(300_000, 'x'))).toBe(true)
  })

  test('on stdout flows while stderr waits, however full stderr is', async () => {
    const ends = await pair()
    const [local, remote] = await openChannel(ends)
    const errors = randomBytes(windowSize - 100_000)
    const output = randomBytes(20_000_000)
    remote.stderr.write(errors)
    await settle(60)
    expect(local.stderr.unread).toBe(errors.length)
    remote.end(output)
    expect((await drain(local)).equals(output)).toBe(true)
    remote.close()
    expect((await drain(local.stderr)).equals(errors)).toBe(true)
  })

  test('on both streams beyond the window, read at once, is complete', async () => {
    const ends = await pair({streams: await tcpPair()})
    const [local, remote] = await openChannel(ends)
    const [output, errors] = [randomBytes(12_000_000), randomBytes(12_000_000)]
    remote.stderr.write(errors)
    remote.end(output)
    remote.once('finish', () => remote.close())
    const [atLocal, errorsAtLocal] = await Promise.all([drain(local), drain(local.stderr)])
    expect(atLocal.equals(output) && errorsAtLocal.equals(errors)).toBe(true)
    ends.client.disconnect()
  })

  test('can be read piecewise, too', async () => {
    const {peer, channel, id} = await rawChannel()
    const data = randomBytes(100_000)
    for (let at = 0; at < data.length; at += 1000) peer.send(channelData(id, data.subarray(at, at + 1000)))
    peer.send(bare(message.channelEof, id))
    const pieces: Buffer[] = []
    await new Promise<void>(resolve => {
      channel.on('end', resolve)
      channel.on('readable', () => {
        for (let piece = channel.read(777); piece; piece = channel.read(777)) pieces.push(piece)
      })
    })
    expect(Buffer.concat(pieces).equals(data)).toBe(true)
  })

  test('an empty message is nothing', async () => {
    const {peer, channel, id} = await rawChannel()
    peer.send(channelData(id, ''))
    peer.send(channelData(id, 'x'))
    peer.send(bare(message.channelEof, id))
    expect((await drain(channel)).toString()).toBe('x')
  })
})

/** Exactly `count` bytes. */
async function readAll(channel: Channel, count: number): Promise<Buffer> {
  const pieces: Buffer[] = []
  let have = 0
  while (have < count) {
    const piece = channel.read() as Buffer | null
    if (piece) {
      pieces.push(piece)
      have += piece.length
    } else await once(channel, 'readable')
  }
  return Buffer.concat(pieces)
}

describe('the end of a channel', () => {
  test('stops a writer that writes as long as it may', async () => {
    const {peer, channel, id} = await rawChannel({window: 100_000})
    let writes = 0
    const write = (): void => {
      while (channel.write(Buffer.alloc(50_000)) && writes < 1000) writes++
      channel.once('drain', write)
    }
    write()
    await settle()
    peer.send(bare(message.channelClose, id))
    await once(channel, 'finish')
    await settle()
    expect(writes).toBeLessThan(10)
  })

  test('EOF of both sides leaves a session open for its exit status', async () => {
    const {peer, channel, id} = await rawChannel()
    channel.resume()
    peer.send(bare(message.channelEof, id))
    channel.end()
    await settle()
    expect(channel.isClosed).toBe(false)
    void channel.request('exit-status', Buffer.from([0, 0, 0, 3]), false)
    channel.close()
    await settle()
    expect(received(peer).types.slice(-3)).toEqual([
      message.channelEof,
      message.channelRequest,
      message.channelClose,
    ])
  })

  test('EOF of both sides closes any other channel', async () => {
    const {peer, channel, id} = await rawChannel({type: 'direct-tcpip'})
    channel.resume()
    channel.end()
    await settle()
    expect(channel.isClosed).toBe(false)
    peer.send(bare(message.channelEof, id))
    await once(channel, 'close')
    await settle()
    expect(received(peer).types.slice(-2)).toEqual([message.channelEof, message.channelClose])
  })

  test('CLOSE without EOF ends the data, answers with CLOSE, and lets go of everything', async () => {
    const {peer, channel, id} = await rawChannel({window: 10})
    const closed = vi.fn()
    channel.onClosed = closed
    const answer = channel.request('slow')
    const written = new Promise(resolve => channel.write(Buffer.alloc(100), resolve))
    peer.send(channelData(id, 'last words'))
    peer.send(bare(message.channelClose, id))
    expect(await answer).toBe(false)
    await written
    expect((await drain(channel)).toString()).toBe('last words')
    expect(channel.destroyed).toBe(true)
    expect(closed).toHaveBeenCalledTimes(1)
    await settle()
    expect(received(peer).types.filter(type => type === message.channelClose)).toHaveLength(1)
    expect(await channel.request('late')).toBe(false)
  })

  test('data that came before CLOSE is still there for a slow reader', async () => {
    const {peer, channel, id} = await rawChannel()
    const data = randomBytes(1_000_000)
    for (let at = 0; at < data.length; at += 10_000)
      peer.send(channelData(id, data.subarray(at, at + 10_000)))
    peer.send(extendedData(id, 'and errors'))
    peer.send(bare(message.channelClose, id))
    await settle(60)
    expect((await drain(channel)).equals(data)).toBe(true)
    expect((await drain(channel.stderr)).toString()).toBe('and errors')
  })

  test('data behind EOF is dropped, a second EOF and CLOSE are nothing new', async () => {
    const {peer, channel, id, closed} = await rawChannel()
    peer.send(channelData(id, 'a'))
    peer.send(bare(message.channelEof, id))
    peer.send(channelData(id, 'b'))
    peer.send(bare(message.channelEof, id))
    expect((await drain(channel)).toString()).toBe('a')
    peer.send(bare(message.channelClose, id))
    await settle()
    // Both sides have closed: the number is nobody's.
    peer.send(bare(message.channelClose, id))
    expect(await closed).toMatchObject({message: 'the peer sent a message for a channel that is not open'})
  })

  test('destroy closes it, and what the peer still sends is credited and forgotten', async () => {
    const {peer, channel, id} = await rawChannel()
    channel.destroy()
    await once(channel, 'close')
    for (let index = 0; index < 30; index++) peer.send(channelData(id, Buffer.alloc(30_000)))
    peer.send(channelRequest(id, 'exit-status', false))
    peer.send(channelRequest(id, 'want-reply', true))
    peer.send(bare(message.channelClose, id))
    await settle()
    expect(peer.isClosed()).toBe(false)
    expect(received(peer).types.slice(-1)).toEqual([message.channelClose])
    expect(channel.unread).toBe(0)
  })

  test('the connection takes all its channels with it', async () => {
    const ends = await pair()
    const [local, remote] = await openChannel(ends)
    const closed = vi.fn()
    local.onClosed = closed
    const answer = local.request('never answered')
    remote.onRequest = () => undefined
    const opening = ends.client.openChannel('slow')
    ends.server.onChannelOpen = () => undefined
    ends.client.fail((await import('../../../src/lib/errors/index.js')).problem('cancelled', 'enough'))
    expect(await answer).toBe(false)
    await expect(opening).rejects.toMatchObject({code: 'cancelled'})
    expect(closed).toHaveBeenCalledTimes(1)
    await expect(ends.client.openChannel('session')).rejects.toMatchObject({code: 'cancelled'})
    expect(await ends.client.request('anything')).toBeUndefined()
    expect(await ends.client.closed).toMatchObject({code: 'cancelled'})
    await ends.server.closed
    expect(remote.isClosed).toBe(true)
  })
})

describe('requests on a channel', () => {
  test('are answered in the order they came, however late the answers', async () => {
    const ends = await pair()
    const [local, remote] = await openChannel(ends)
    const replies: ((success: boolean) => void)[] = []
    remote.onRequest = request => replies.push(request.reply)
    const answers: string[] = []
    const note = (name: string) => (ok: boolean) => answers.push(`${name} ${ok}`)
    const all = Promise.all([
      local.request('a').then(note('a')),
      local.request('b').then(note('b')),
      local.request('c').then(note('c')),
    ])
    await vi.waitFor(() => expect(replies).toHaveLength(3))
    replies[2]?.(true)
    replies[1]?.(false)
    replies[1]?.(true)
    await settle()
    expect(answers).toEqual([])
    replies[0]?.(true)
    await all
    expect(answers).toEqual(['a true', 'b false', 'c true'])
  })

  test('without a handler are refused; without a wish for a reply get none', async () => {
    const {peer, id} = await rawChannel()
    peer.send(channelRequest(id, 'shell'))
    expect((await peer.next())[0]).toBe(message.channelFailure)
    peer.send(channelRequest(id, 'shell', false))
    await settle()
    expect(received(peer).types.at(-1)).toBe(message.channelFailure)
    expect(peer.log).toHaveLength(5)
  })

  test('that come right behind the confirmation find the handler of whoever opened the channel', async () => {
    const {peer, client} = await rawServerOfClient()
    const opening = client.openChannel('session').then(async channel => {
      // A few turns of the microtask queue, as in any caller with layers.
      for (let tick = 0; tick < 10; tick++) await null
      return new Promise<string>(resolve => {
        channel.onRequest = request => resolve(request.type)
      })
    })
    const id = senderChannel(await peer.nextOf(message.channelOpen))
    peer.send(confirmation(id))
    peer.send(channelRequest(id, 'current-session-id@goteleport.com', false))
    expect(await opening).toBe('current-session-id@goteleport.com')
  })

  test('too long for a packet are refused here', async () => {
    const ends = await pair()
    const [local, remote] = await openChannel(ends)
    const seen = vi.fn()
    remote.onRequest = request => {
      seen(request.data.length)
      request.reply(true)
    }
    expect(await local.request('exec', Buffer.alloc(33_000))).toBe(true)
    expect(await local.request('exec', Buffer.alloc(100_000))).toBe(false)
    expect(seen.mock.calls).toEqual([[33_000]])
  })
})

describe('opening channels', () => {
  test('passes type and data, and gives the reason of a refusal', async () => {
    const ends = await pair()
    ends.server.onChannelOpen = open =>
      open.reject(openFailure.connectFailed, `${open.type} ${open.data.toString()} \x1b[31mno`)
    const refused = await ends.client.openChannel('direct-tcpip', Buffer.from('extra')).catch(error => error)
    expect(refused).toBeInstanceOf(ChannelRefused)
    expect(refused).toMatchObject({reason: 2, description: 'direct-tcpip extra  [31mno'})
  })

  test('works from the server, too', async () => {
    const ends = await pair()
    const [agent, other] = await openChannel(
      {client: ends.server, server: ends.client},
      'auth-agent@openssh.com',
    )
    other.pipe(other)
    agent.end('sign this')
    expect((await drain(agent)).toString()).toBe('sign this')
  })

  test('is refused without a handler, and beyond the limit, and goes on when some are closed', async () => {
    const ends = await pair({server: {maxChannels: 3}})
    await expect(ends.client.openChannel('session')).rejects.toMatchObject({reason: 1})
    ends.server.onChannelOpen = open => open.accept()
    const channels = await Promise.all([1, 2, 3].map(() => ends.client.openChannel('session')))
    await expect(ends.client.openChannel('session')).rejects.toMatchObject({
      reason: openFailure.resourceShortage,
      description: 'too many channels',
    })
    channels[0]?.close()
    await settle()
    await expect(ends.client.openChannel('session')).resolves.toBeInstanceOf(Channel)
  })

  test('undecided ones count towards the limit', async () => {
    const ends = await pair({server: {maxChannels: 2}})
    ends.server.onChannelOpen = () => undefined
    const opening = [1, 2].map(() => ends.client.openChannel('session'))
    await expect(ends.client.openChannel('session')).rejects.toMatchObject({reason: 4})
    ends.client.disconnect()
    for (const each of opening) await expect(each).rejects.toMatchObject({code: 'protocol_error'})
  })

  test('can be decided once, and not any more when the connection is gone', async () => {
    const ends = await pair()
    const decisions: unknown[] = []
    ends.server.onChannelOpen = open => {
      open.reject(1, 'no')
      open.reject(1, 'no')
      expect(() => open.accept()).toThrow(/cannot be opened any more/)
      decisions.push(open)
    }
    await expect(ends.client.openChannel('session')).rejects.toMatchObject({reason: 1})
    let late: (() => void) | undefined
    ends.server.onChannelOpen = open => {
      late = () => open.accept()
    }
    const opening = ends.client.openChannel('session')
    opening.catch(() => undefined)
    await vi.waitFor(() => expect(late).toBeDefined())
    ends.client.disconnect()
    await ends.server.closed
    expect(() => late?.()).toThrow(/cannot be opened any more/)
    expect(decisions).toHaveLength(1)
  })
})

describe('channels of one connection', () => {
  test('take turns: keystrokes do not wait for a bulk transfer', async () => {
    const ends = await pair({streams: await tcpPair()})
    const [bulkLocal, bulkRemote] = await openChannel(ends)
    const [local, remote] = await openChannel(ends)
    let bulk = 0
    bulkLocal.on('data', chunk => {
      bulk += chunk.length
    })
    const pump = (): void => {
      while (!bulkRemote.destroyed && bulkRemote.write(Buffer.alloc(60_000)));
      bulkRemote.once('drain', pump)
    }
    pump()
    remote.on('data', chunk => remote.write(chunk))
    await vi.waitFor(() => expect(bulk).toBeGreaterThan(5_000_000))
    for (let key = 0; key < 20; key++) {
      const before = bulk
      local.write('k')
      await once(local, 'data')
      // What was on its way already, and a few turns.
      expect(bulk - before).toBeLessThan(8_000_000)
    }
    ends.client.disconnect()
    await ends.server.closed
  })
})
