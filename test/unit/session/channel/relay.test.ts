import {PassThrough, Writable} from 'node:stream'
import fc from 'fast-check'
import {describe, expect, it} from 'vitest'
import {joinChannels, relay} from '../../../../src/lib/session/channel/relay.js'
import {drain, openChannel, pair, settle} from '../../ssh/fixture.js'

/** A sink that takes a chunk only when told to. */
function slowSink() {
  const waiting: (() => void)[] = []
  const taken: Buffer[] = []
  const sink = new Writable({
    highWaterMark: 1000,
    write(chunk, _encoding, done) {
      taken.push(chunk)
      waiting.push(() => done())
    },
  })
  return {sink, taken, take: () => waiting.shift()?.()}
}

describe('a relay', () => {
  it('passes everything in order and resolves when it is taken', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.uint8Array({minLength: 1, maxLength: 3000}), {maxLength: 30}),
        async chunks => {
          const [source, sink] = [new PassThrough(), new PassThrough()]
          const received = drain(sink)
          const done = relay(source, sink)
          for (const chunk of chunks) source.write(chunk)
          source.end()
          await done
          sink.end()
          expect(await received).toEqual(Buffer.concat(chunks))
        },
      ),
      {numRuns: 50},
    )
  })

  it('pauses the source while the sink is full', async () => {
    const source = new PassThrough({highWaterMark: 1000})
    const {sink, taken, take} = slowSink()
    const done = relay(source, sink)
    let written = 0
    while (source.write(Buffer.alloc(500))) written++
    await settle()
    expect(written).toBeLessThan(10)
    expect(taken).toHaveLength(1)
    source.end()
    const finished = done.then(() => true)
    for (let n = 0; n < 20; n++) {
      take()
      await settle(3)
    }
    expect(await finished).toBe(true)
    expect(Buffer.concat(taken)).toHaveLength(500 * (written + 1))
  })

  it('leaves it to a tap that withholds when bytes are delivered, and ends after the last of them', async () => {
    const [source, sink] = [new PassThrough(), new PassThrough()]
    const received = drain(sink)
    const kept: Buffer[] = []
    let deliver: (lent: Buffer) => void = () => undefined
    let open: () => void = () => undefined
    const flushed = new Promise<void>(resolve => {
      open = resolve
    })
    let over = false
    const done = relay(source, sink, {
      withhold(to) {
        deliver = to
        return {
          take(chunk) {
            kept.push(Buffer.from(chunk))
            return chunk.toString() === 'dropped' ? false : undefined
          },
          flush: () => flushed,
        }
      },
    }).then(() => {
      over = true
    })
    source.write('first')
    await settle()
    source.end('dropped')
    await settle()
    expect(kept.map(String)).toEqual(['first', 'dropped'])
    expect(over).toBe(false)
    const lent = Buffer.from('later')
    deliver(lent)
    lent.fill('#')
    await settle()
    expect(over).toBe(false)
    open()
    await done
    sink.end()
    expect((await received).toString()).toBe('later')
  })

  it('pauses the source while the sink is full of what was withheld', async () => {
    const source = new PassThrough({highWaterMark: 1000})
    const {sink, take} = slowSink()
    let deliver: (lent: Buffer) => void = () => undefined
    let taken = 0
    const done = relay(source, sink, {
      withhold(to) {
        deliver = to
        return {
          take(chunk) {
            taken += chunk.length
            return undefined
          },
          flush: async () => undefined,
        }
      },
    })
    deliver(Buffer.alloc(5000))
    source.write(Buffer.alloc(500))
    await settle()
    expect(taken).toBe(0)
    take()
    await settle()
    expect(taken).toBe(500)
    source.end()
    await done
  })

  it('waits for what the tap asks it to wait for, be it a failure', async () => {
    const [source, sink] = [new PassThrough(), new PassThrough()]
    let fail: (error: Error) => void = () => undefined
    const hold = new Promise<void>((_resolve, reject) => {
      fail = reject
    })
    let seen = 0
    const done = relay(source, sink, () => (seen++ === 0 ? hold : undefined))
    const received = drain(sink)
    source.write('a')
    await settle()
    source.write('b')
    await settle()
    expect(seen).toBe(1)
    fail(new Error('the store is slow'))
    source.end()
    await done
    sink.end()
    expect((await received).toString()).toBe('ab')
  })

  it('drops what the tap does not let pass', async () => {
    const [source, sink] = [new PassThrough(), new PassThrough()]
    const received = drain(sink)
    const done = relay(source, sink, chunk => (chunk.toString() === 'secret' ? false : undefined))
    for (const word of ['open', 'secret', 'end']) {
      source.write(word)
      await settle(2)
    }
    source.end()
    await done
    sink.end()
    expect((await received).toString()).toBe('openend')
  })

  it('lets the source run dry when the sink is gone', async () => {
    const source = new PassThrough({highWaterMark: 100})
    const {sink} = slowSink()
    const done = relay(source, sink)
    source.write(Buffer.alloc(5000))
    await settle()
    sink.destroy()
    await done
    source.end(Buffer.alloc(100_000))
    await new Promise(resolve => source.once('end', resolve))
    expect(source.readableLength).toBe(0)
  })
})

describe('joined channels', () => {
  it('pass both ways, and each end on its own', async () => {
    const [one, two] = [await pair(), await pair()]
    const [clientA, serverA] = await openChannel(one, 'direct-tcpip')
    const [clientB, serverB] = await openChannel(two, 'direct-tcpip')
    let passed = 0
    const joined = joinChannels(serverA, serverB, () => passed++)
    clientA.end('question')
    expect((await drain(clientB)).toString()).toBe('question')
    clientB.end('answer')
    expect((await drain(clientA)).toString()).toBe('answer')
    await joined
    expect(passed).toBe(2)
  })

  it('close together when one of them breaks', async () => {
    const [one, two] = [await pair(), await pair()]
    const [, serverA] = await openChannel(one, 'direct-tcpip')
    const [clientB, serverB] = await openChannel(two, 'direct-tcpip')
    const joined = joinChannels(serverA, serverB, () => undefined)
    const closed = new Promise<void>(resolve => {
      clientB.onClosed = resolve
    })
    clientB.resume()
    one.client.disconnect()
    await closed
    await joined
    expect([serverA, serverB].map(({isClosed}) => isClosed)).toEqual([true, true])
  })

  it('close together when one was gone before', async () => {
    const [one, two] = [await pair(), await pair()]
    const [, serverA] = await openChannel(one, 'direct-tcpip')
    const [clientB, serverB] = await openChannel(two, 'direct-tcpip')
    one.client.disconnect()
    await one.server.closed
    const closed = new Promise<void>(resolve => {
      clientB.onClosed = resolve
    })
    clientB.resume()
    await joinChannels(serverA, serverB, () => undefined)
    await closed
    expect(serverB.isClosed).toBe(true)
  })
})
