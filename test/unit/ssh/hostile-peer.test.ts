import {once} from 'node:events'
import fc from 'fast-check'
import {describe, expect, test, vi} from 'vitest'
import type {Channel} from '../../../src/lib/ssh/index.js'
import {message} from '../../../src/lib/ssh/messages.js'
import {WireWriter} from '../../../src/lib/sshcert/index.js'
import {settle, tcpPair} from './fixture.js'
import {
  bare,
  channelData,
  channelOpen,
  channelRequest,
  confirmation,
  extendedData,
  globalRequest,
  rawClientOfServer,
  rawServerOfClient,
  senderChannel,
  windowAdjust,
} from './raw-peer.js'

describe('a peer that breaks the rules of channels is shown the door', () => {
  const breaches: [string, Buffer[], RegExp][] = [
    ['data for a channel that never was', [channelData(77, 'x')], /not open/],
    ['extended data for one', [extendedData(77, 'x')], /not open/],
    ['EOF for one', [bare(message.channelEof, 77)], /not open/],
    ['CLOSE for one', [bare(message.channelClose, 77)], /not open/],
    ['a request for one', [channelRequest(77, 'shell')], /not open/],
    ['a reply for one', [bare(message.channelSuccess, 77)], /not open/],
    ['a confirmation nobody waits for', [confirmation(1)], /nobody asked for/],
    [
      'a refusal nobody waits for',
      [new WireWriter().u8(message.channelOpenFailure).u32(1).u32(1).string('').string('').finish()],
      /nobody asked for/,
    ],
    ['a channel that takes packets of no length', [channelOpen({maxPacket: 0})], /unusable packet size/],
    ['a channel that takes tiny packets', [channelOpen({maxPacket: 255})], /unusable packet size/],
    ['an open cut short', [channelOpen().subarray(0, 15)], /cut short/],
    ['a window adjust cut short', [bare(message.channelWindowAdjust, 1)], /cut short/],
    ['a global request cut short', [Buffer.of(message.globalRequest, 0, 0)], /cut short/],
    [
      'a string longer than its packet',
      [Buffer.of(message.channelOpen, 0xff, 0xff, 0xff, 0xff, 1)],
      /cut short/,
    ],
    ['a message nobody knows', [Buffer.of(192, 0, 0, 0, 0)], /unknown type 192/],
    ['a service request', [Buffer.of(message.serviceRequest, 0, 0, 0, 0)], /unknown type 5/],
    ['authentication that fails afterwards', [Buffer.of(message.userauthFailure)], /unknown type 51/],
  ]
  test.each(breaches)('%s', async (_what, payloads, reason) => {
    const {peer, server} = await rawClientOfServer()
    server.onChannelOpen = open => open.accept()
    for (const payload of payloads) peer.send(payload)
    expect(await server.closed).toMatchObject({
      code: 'protocol_error',
      message: expect.stringMatching(reason),
    })
    // It is told so.
    expect(await peer.closed).toMatchObject({code: 'protocol_error', message: expect.stringMatching(reason)})
  })

  test('a window that overflows', async () => {
    const {peer, server} = await rawClientOfServer()
    server.onChannelOpen = open => open.accept()
    peer.send(channelOpen({window: 0xffffffff}))
    const id = senderChannel(await peer.nextOf(message.channelOpenConfirmation))
    peer.send(windowAdjust(id, 0))
    await settle()
    expect(peer.isClosed()).toBe(false)
    peer.send(windowAdjust(id, 1))
    expect(await server.closed).toMatchObject({message: 'the peer overflowed a window'})
  })

  test('a confirmation of a channel with packets of no length: whoever waits for the channel hears of it', async () => {
    const {peer, client} = await rawServerOfClient()
    const opening = client.openChannel('session')
    opening.catch(() => undefined)
    const id = senderChannel(await peer.nextOf(message.channelOpen))
    peer.send(confirmation(id, {maxPacket: 0}))
    expect(await client.closed).toMatchObject({message: 'the peer announced an unusable packet size'})
    await expect(opening).rejects.toMatchObject({message: 'the peer announced an unusable packet size'})
  })

  test('data before the confirmation', async () => {
    const {peer, client} = await rawServerOfClient()
    const opening = client.openChannel('session')
    opening.catch(() => undefined)
    const id = senderChannel(await peer.nextOf(message.channelOpen))
    peer.send(channelData(id, 'too early'))
    expect(await client.closed).toMatchObject({message: expect.stringContaining('not open')})
    await expect(opening).rejects.toMatchObject({code: 'protocol_error'})
  })

  test('but a window adjust that crosses our CLOSE is nobody fault', async () => {
    const {peer, server} = await rawClientOfServer()
    peer.send(windowAdjust(77, 1000))
    await settle()
    expect(peer.isClosed()).toBe(false)
    server.disconnect()
    await peer.closed
  })
})

describe('floods', () => {
  test('of requests that nobody has answered yet end the connection', async () => {
    const {peer, server} = await rawClientOfServer()
    const handled = vi.fn()
    server.onChannelOpen = open => {
      open.accept().onRequest = handled
    }
    peer.send(channelOpen())
    const id = senderChannel(await peer.nextOf(message.channelOpenConfirmation))
    for (let index = 0; index < 300; index++) peer.send(channelRequest(id, 'slow'))
    expect(await server.closed).toMatchObject({code: 'limit_exceeded'})
    expect(handled.mock.calls.length).toBeLessThanOrEqual(256)
  })

  test('of global requests that nobody has answered yet end the connection', async () => {
    const {peer, server} = await rawClientOfServer()
    server.onGlobalRequest = () => new Promise(() => undefined)
    for (let index = 0; index < 300; index++) peer.send(globalRequest('slow'))
    expect(await server.closed).toMatchObject({code: 'limit_exceeded'})
  })

  test('of replies that nobody asked for are nothing', async () => {
    const {peer, server} = await rawClientOfServer()
    server.onChannelOpen = open => open.accept()
    peer.send(channelOpen())
    const id = senderChannel(await peer.nextOf(message.channelOpenConfirmation))
    for (let index = 0; index < 1000; index++) {
      peer.send(Buffer.of(message.requestSuccess, 1, 2, 3))
      peer.send(Buffer.of(message.requestFailure))
      peer.send(bare(message.channelSuccess, id))
      peer.send(bare(message.channelFailure, id))
    }
    peer.send(globalRequest('keepalive@openssh.com'))
    expect((await peer.nextOf(message.requestSuccess))[0]).toBe(message.requestSuccess)
    expect(await server.request('are you there', undefined, false)).toBeUndefined()
    expect(peer.isClosed()).toBe(false)
  })

  test('of channels stop at the limit', async () => {
    const {peer, server} = await rawClientOfServer()
    const opened: Channel[] = []
    server.onChannelOpen = open => opened.push(open.accept())
    for (let index = 0; index < 1000; index++) peer.send(channelOpen({id: index}))
    await vi.waitFor(() => expect(peer.log.length).toBeGreaterThanOrEqual(1000))
    const types = peer.log.map(payload => payload[0])
    expect(opened).toHaveLength(256)
    expect(types.filter(type => type === message.channelOpenFailure)).toHaveLength(744)
    peer.transport.disconnect()
    await server.closed
    expect(opened.every(channel => channel.isClosed)).toBe(true)
  })

  test('of questions whose answers are not read make us stop listening', async () => {
    const streams = await tcpPair()
    const {peer, server} = await rawClientOfServer({}, streams)
    let asked = 0
    server.onGlobalRequest = () => {
      asked++
      return Buffer.alloc(30_000)
    }
    peer.stream.pause()
    const question = globalRequest(`tell me ${'x'.repeat(300)}`)
    // 60 MB of answers in all, were they given.
    for (let batch = 0; batch < 50; batch++) {
      for (let index = 0; index < 40; index++) peer.send(question)
      await settle(3)
    }
    await settle()
    const [, ours] = streams
    expect(ours.writableLength).toBeLessThan(4_000_000)
    expect(asked).toBeLessThan(2000)
    const stalled = asked
    peer.stream.resume()
    await vi.waitFor(() => expect(asked).toBe(2000))
    expect(stalled).toBeLessThan(2000)
    peer.transport.disconnect()
    await server.closed
  })
})

describe('whatever a peer sends after it has logged in', () => {
  const types = fc.oneof(fc.integer({min: 0, max: 255}), fc.constantFrom(...Object.values(message)))
  const small = fc.oneof(fc.integer({min: 0, max: 3}), fc.integer({min: 0, max: 0xffffffff}))
  const part = fc.oneof(
    small.map(value => new WireWriter().u32(value).finish()),
    fc.uint8Array({maxLength: 40}).map(bytes => new WireWriter().string(Buffer.from(bytes)).finish()),
    fc
      .constantFrom('session', 'exec', 'exit-status', 'keepalive@openssh.com')
      .map(text => new WireWriter().string(text).finish()),
    fc.uint8Array({maxLength: 12}).map(bytes => Buffer.from(bytes)),
  )
  const payloads = fc.array(
    fc
      .tuple(types, fc.array(part, {maxLength: 6}))
      .map(([type, parts]) => Buffer.concat([Buffer.of(type), ...parts])),
    {minLength: 1, maxLength: 30},
  )

  test('nothing is thrown; the connection lives on or ends', async () => {
    const crash = vi.fn()
    process.on('uncaughtException', crash)
    process.on('unhandledRejection', crash)
    try {
      await fc.assert(
        fc.asyncProperty(payloads, fc.boolean(), async (messages, asServer) => {
          const {peer, ours} = asServer ? await underAttack() : await underAttackFromServer()
          for (const payload of messages) peer.send(payload)
          await settle(4)
          ours.disconnect()
          const error = await ours.closed
          if (error) expect(['protocol_error', 'limit_exceeded']).toContain(error.code)
        }),
        {numRuns: 150},
      )
      expect(crash).not.toHaveBeenCalled()
    } finally {
      process.off('uncaughtException', crash)
      process.off('unhandledRejection', crash)
    }
  })

  async function underAttack() {
    const {peer, server} = await rawClientOfServer()
    server.onGlobalRequest = ({type}) =>
      type.length > 3 ? Buffer.from('yes') : Promise.reject(new Error('no'))
    server.onChannelOpen = open => {
      if (open.data.length > 20) return open.reject(1, 'too much')
      const channel = open.accept()
      channel.pipe(channel)
      channel.onRequest = request => request.reply(request.data.length % 2 === 0)
    }
    return {peer, ours: server}
  }

  async function underAttackFromServer() {
    const {peer, client} = await rawServerOfClient()
    client.openChannel('session').then(
      channel => {
        channel.end('hello')
        channel.resume()
        channel.stderr.resume()
      },
      () => undefined,
    )
    await peer.nextOf(message.channelOpen)
    return {peer, ours: client}
  }
})

test('a peer that hangs up without a word leaves nothing behind', async () => {
  const streams = await tcpPair()
  const {peer, server} = await rawClientOfServer({}, streams)
  const opened = new Promise<Channel>(resolve => {
    server.onChannelOpen = open => resolve(open.accept())
  })
  peer.send(channelOpen())
  const channel = await opened
  channel.resume()
  peer.stream.destroy()
  await server.closed
  await vi.waitFor(() => expect([channel.destroyed, streams[1].destroyed]).toEqual([true, true]))
})

test('a peer that does not hang up when we do is cut off after a second', async () => {
  const streams = await tcpPair()
  const {peer, server} = await rawClientOfServer({}, streams)
  peer.stream.pause()
  server.disconnect()
  await server.closed
  expect(streams[1].destroyed).toBe(false)
  await once(streams[1], 'close')
  peer.stream.destroy()
})
