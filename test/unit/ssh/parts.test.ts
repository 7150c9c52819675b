import fc from 'fast-check'
import {afterEach, beforeEach, describe, expect, test, vi} from 'vitest'
import {byteQueue} from '../../../src/lib/ssh/byte-queue.js'
import {fairTurns} from '../../../src/lib/ssh/fair-turns.js'
import {gatherIdentification} from '../../../src/lib/ssh/identification.js'
import {startKeepAlive} from '../../../src/lib/ssh/keep-alive.js'
import {orderedReplies} from '../../../src/lib/ssh/ordered-replies.js'
import {peerText} from '../../../src/lib/ssh/peer-text.js'
import {sendQueue} from '../../../src/lib/ssh/send-queue.js'
import {maxPacketSize, receiveWindow, windowSize} from '../../../src/lib/ssh/window.js'
import {pair, settle, streamPair} from './fixture.js'

const sizes = fc.array(fc.oneof(fc.integer({min: 0, max: 50}), fc.integer({min: 0, max: 20_000})), {
  maxLength: 60,
})

describe('the queue of unread bytes', () => {
  test('gives back what it was given, in order, whatever the pieces', () => {
    fc.assert(
      fc.property(sizes, fc.array(fc.boolean(), {maxLength: 60}), (lengths, reads) => {
        const queue = byteQueue()
        const [put, got]: [Buffer[], Buffer[]] = [[], []]
        const read = (): boolean => {
          const piece = queue.shift()
          if (piece) got.push(piece)
          return piece !== undefined
        }
        lengths.forEach((length, index) => {
          const piece = Buffer.alloc(length, index)
          put.push(piece)
          queue.push(piece)
          if (reads[index]) read()
        })
        const held = Buffer.concat(put).length - Buffer.concat(got).length
        expect(queue.length).toBe(held)
        while (read());
        expect(Buffer.concat(got).equals(Buffer.concat(put))).toBe(true)
        expect(queue.length).toBe(0)
      }),
    )
  })

  test('does not keep the packets alive that small pieces came in', () => {
    const queue = byteQueue()
    const packet = Buffer.alloc(100_000)
    for (let index = 0; index < 100; index++) queue.push(packet.subarray(index * 50, index * 50 + 10))
    queue.push(packet.subarray(0, 5000))
    for (let piece = queue.shift(); piece; piece = queue.shift()) expect(piece.buffer).not.toBe(packet.buffer)
  })
})

describe('the queue of writes', () => {
  test('packs writes of one stream, never two, and reports each when its last byte is taken', () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.integer({min: 1, max: 300}), fc.boolean()), {maxLength: 40}),
        fc.integer({min: 1, max: 500}),
        (writes, limit) => {
          const queue = sendQueue()
          const finished: number[] = []
          const expected = {true: [] as Buffer[], false: [] as Buffer[]}
          writes.forEach(([length, extended], index) => {
            const data = Buffer.alloc(length, index)
            expected[`${extended}`].push(data)
            queue.push(data, extended, () => finished.push(index))
          })
          const taken = {true: [] as Buffer[], false: [] as Buffer[]}
          for (let batch = queue.take(limit); batch; batch = queue.take(limit)) {
            expect(batch.length).toBeLessThanOrEqual(limit)
            expect(batch.length).toBe(Buffer.concat(batch.pieces).length)
            taken[`${batch.extended}`].push(...batch.pieces)
            for (const done of batch.done) done()
          }
          expect(finished).toEqual(writes.map((_write, index) => index))
          for (const kind of ['true', 'false'] as const)
            expect(Buffer.concat(taken[kind]).equals(Buffer.concat(expected[kind]))).toBe(true)
          expect(queue.empty).toBe(true)
        },
      ),
    )
  })

  test('takes nothing where nothing fits, and lets everybody go when it is cleared', () => {
    const queue = sendQueue()
    const done = vi.fn()
    queue.push(Buffer.from('x'), false, done)
    queue.push(Buffer.from('y'), true, done)
    expect(queue.take(0)).toBeUndefined()
    queue.clear()
    expect(done).toHaveBeenCalledTimes(2)
    expect(queue.take(10)).toBeUndefined()
  })
})

test('the window never lets more be outstanding than it is, and the peer never runs dry for good', () => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.integer({min: 1, max: maxPacketSize}), fc.nat(100)), {maxLength: 200}),
      steps => {
        const window = receiveWindow()
        let [credit, unread] = [windowSize, 0]
        for (const [bytes, percent] of steps) {
          const sent = Math.min(bytes, credit)
          window.take(sent)
          credit -= sent
          unread += sent
          unread -= Math.floor((unread * percent) / 100)
          credit += window.credit(unread)
          expect(credit + unread).toBeLessThanOrEqual(windowSize)
          // All but a packet may be unread on one stream, and the rest still flows on the other.
          if (unread < windowSize - maxPacketSize) expect(credit).toBeGreaterThan(0)
        }
        expect(() => window.take(credit + 1)).toThrow(/more data than its window/)
      },
    ),
  )
})

describe('turns on a connection', () => {
  test('go round, one message each, and stop where the connection is congested', () => {
    let room = 5
    const turns = fairTurns(() => room === 0)
    const sent: string[] = []
    const sender = (name: string, messages: number) => ({
      sendOne() {
        sent.push(name)
        room--
        return --messages > 0
      },
    })
    const [a, b, c] = [sender('a', 10), sender('b', 2), sender('c', 10)]
    room = 0
    for (const each of [a, b, c]) turns.ready(each)
    expect(sent).toEqual([])
    room = 8
    turns.run()
    expect(sent.join('')).toBe('abcabcac')
    turns.leave(a)
    room = 3
    turns.run()
    expect(sent.join('')).toBe('abcabcacccc')
  })
})

describe('identification', () => {
  const ident = Buffer.from('SSH-2.0-Test_1.0 comment\r\n')
  test('is found wherever the pieces are cut, with all that follows it, and greetings dropped', () => {
    fc.assert(
      fc.property(
        fc.array(fc.constantFrom('hello\r\n', 'x\n', '\r\n', ' SSH-2.0-not\r\n'), {maxLength: 5}),
        fc.uint8Array({maxLength: 50}),
        fc.array(fc.integer({min: 1, max: 30}), {maxLength: 50}),
        (greeting, rest, cuts) => {
          const gather = gatherIdentification('server')
          const all = Buffer.concat([Buffer.from(greeting.join('')), ident, Buffer.from(rest)])
          let [at, found]: [number, Buffer | undefined] = [0, undefined]
          for (const cut of [...cuts, all.length]) {
            if (found || at >= all.length) break
            found = gather(all.subarray(at, at + cut))
            at += cut
          }
          const expected = Buffer.concat([ident, Buffer.from(rest)])
          expect(found?.equals(expected.subarray(0, found.length))).toBe(true)
          expect(found?.length).toBeGreaterThanOrEqual(ident.length)
          expect(
            Buffer.concat([found ?? ident, all.subarray(Math.min(at, all.length))]).equals(expected),
          ).toBe(true)
        },
      ),
    )
  })

  test('of a client must come first and be short', () => {
    expect(gatherIdentification('client')(ident)).toEqual(ident)
    expect(() => gatherIdentification('client')(Buffer.from('hello\r\n'))).toThrow(/does not speak SSH/)
    const gather = gatherIdentification('client')
    for (let count = 0; count < 255; count++) expect(gather(Buffer.from('x'))).toBeUndefined()
    expect(() => gather(Buffer.from('x'))).toThrow(/does not speak SSH/)
  })
})

test('text of a peer is one bounded line that no terminal obeys', () => {
  expect(peerText('  a\x1b[31m\r\nb\u202ec\u0085d\x7f ')).toBe('a [31m b c d')
  expect(peerText('x'.repeat(5000))).toHaveLength(1024)
  fc.assert(
    fc.property(fc.string({unit: 'binary'}), text => {
      expect(peerText(text)).not.toMatch(/[\p{Cc}\u2028\u2029\u202a-\u202e\u2066-\u2069]/u)
    }),
  )
})

describe('ordered replies', () => {
  test('are delivered in the order of the questions, whatever the order of the answers', () => {
    fc.assert(
      fc.property(fc.shuffledSubarray([0, 1, 2, 3, 4, 5, 6, 7], {minLength: 8}), order => {
        const delivered: number[] = []
        const replies = orderedReplies(8)
        const answers = order.map((_each, index) => replies.expect<number>(() => delivered.push(index)))
        for (const index of order) answers[index]?.(index)
        expect(delivered).toEqual([0, 1, 2, 3, 4, 5, 6, 7])
      }),
    )
  })

  test('are bounded, and free again when given', () => {
    const replies = orderedReplies(2)
    const first = replies.expect(() => undefined)
    replies.expect(() => undefined)
    expect(() => replies.expect(() => undefined)).toThrow(/too many requests/)
    first(undefined)
    expect(() => replies.expect(() => undefined)).not.toThrow()
  })
})

describe('keep-alive', () => {
  beforeEach(() => void vi.useFakeTimers({toFake: ['setInterval', 'clearInterval', 'Date']}))
  afterEach(() => void vi.useRealTimers())

  test('pings where it is quiet, and gives up when three pings in a row bring nothing', () => {
    const [ping, lost] = [vi.fn(), vi.fn()]
    const keepAlive = startKeepAlive(1000, {ping, lost})
    vi.advanceTimersByTime(2000)
    keepAlive.heard()
    vi.advanceTimersByTime(1000)
    expect(ping).toHaveBeenCalledTimes(2)
    vi.advanceTimersByTime(3000)
    expect([ping.mock.calls.length, lost.mock.calls.length]).toEqual([5, 0])
    vi.advanceTimersByTime(1000)
    expect(lost).toHaveBeenCalledTimes(1)
    keepAlive.stop()
    vi.advanceTimersByTime(10_000)
    expect(lost).toHaveBeenCalledTimes(1)
  })

  test('ends a connection whose peer has gone without a word, and keeps one alive whose peer is quiet', async () => {
    const streams = streamPair()
    const ends = await pair({client: {keepAliveMilliseconds: 1000}, streams})
    const over = vi.fn()
    void ends.client.closed.then(over)
    for (let second = 0; second < 10; second++) {
      vi.advanceTimersByTime(1000)
      await settle()
    }
    expect(over).not.toHaveBeenCalled()
    streams[1].pause()
    for (let second = 0; second < 5; second++) {
      vi.advanceTimersByTime(1000)
      await settle()
    }
    expect(over).toHaveBeenCalledWith(expect.objectContaining({code: 'timeout'}))
  })
})
