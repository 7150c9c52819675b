import {createHash, randomBytes} from 'node:crypto'
import {once} from 'node:events'
import {expect, test, vi} from 'vitest'
import type {Channel} from '../../../src/lib/ssh/index.js'
import {openChannel, type Pair, pair, tcpPair} from './fixture.js'

/** A connection inside a channel of another one, as through the proxy. */
async function nested(type: string): Promise<{outer: Pair; inner: Pair; channels: [Channel, Channel]}> {
  const outer = await pair({streams: await tcpPair()})
  const channels = await openChannel(outer, type)
  const inner = await pair({streams: channels})
  return {outer, inner, channels}
}

const blocks = 200
const block = randomBytes(1_000_003)

async function send(channel: Channel): Promise<void> {
  for (let count = 0; count < blocks; count++) if (!channel.write(block)) await once(channel, 'drain')
  channel.end()
}

async function digest(channel: Channel): Promise<string> {
  const hash = createHash('sha256')
  channel.on('data', (chunk: Buffer) => hash.update(chunk))
  await once(channel, 'end')
  return hash.digest('hex')
}

test('200 MB each way at once through a connection in a channel arrive to the byte', async () => {
  const {inner, outer} = await nested('direct-tcpip')
  const [local, remote] = await openChannel(inner)
  const expected = createHash('sha256')
  for (let count = 0; count < blocks; count++) expected.update(block)
  const digests = Promise.all([digest(local), digest(remote)])
  await Promise.all([send(local), send(remote)])
  const sum = expected.digest('hex')
  expect(await digests).toEqual([sum, sum])
  outer.client.disconnect()
}, 60_000)

test.each(['session', 'direct-tcpip'])(
  'when the inner connection ends, so does its %s channel',
  async type => {
    const {inner, channels} = await nested(type)
    inner.client.disconnect()
    expect(await inner.server.closed).toBeUndefined()
    await vi.waitFor(() => expect(channels.map(channel => channel.destroyed)).toEqual([true, true]), {
      timeout: 5000,
    })
  },
)

test('when the outer connection breaks, the inner one and its channels end', async () => {
  const {inner, outer} = await nested('session')
  const [local, remote] = await openChannel(inner)
  local.resume()
  remote.resume()
  outer.streams[0].destroy()
  await Promise.all([inner.client.closed, inner.server.closed, once(local, 'close'), once(remote, 'close')])
})

test('a reader who stops at the innermost end stops the writer at the other', async () => {
  const {inner, outer} = await nested('direct-tcpip')
  const [local, remote] = await openChannel(inner)
  let written = 0
  const write = (): void => {
    while (remote.write(Buffer.alloc(50_000))) written += 50_000
    remote.once('drain', write)
  }
  write()
  await vi.waitFor(() => expect(local.unread).toBe(2 * 1024 * 1024))
  expect(written).toBeLessThan(3_000_000)
  outer.client.disconnect()
})
