import {PassThrough} from 'node:stream'
import fc from 'fast-check'
import {describe, expect, test} from 'vitest'
import {joinSession} from '../../../../src/lib/client/ssh/join.js'
import {createRecentOutput} from '../../../../src/lib/session/screen/recent-output.js'
import type {Channel} from '../../../../src/lib/ssh/index.js'
import {WireWriter} from '../../../../src/lib/sshcert/index.js'
import {acceptOn, connectOn, streamPair} from '../../ssh/fixture.js'

const ended = (channel: Channel): void => {
  channel.end(() => {
    void channel.request('exit-status', new WireWriter().u32(0).finish(), false)
    channel.close()
  })
}

/** What somebody sees and is told who joins where `serve` holds the session. */
async function joined(serve: (channel: Channel) => void) {
  const [near, far] = streamPair()
  const accepting = acceptOn(far).then(({connection}) => {
    connection.onChannelOpen = open => {
      const channel = open.accept()
      channel.resume()
      channel.onRequest = ({reply}) => {
        reply(true)
        serve(channel)
      }
    }
    return connection
  })
  const connection = await connectOn(near)
  const server = await accepting
  const [stdin, stdout, stderr] = [new PassThrough(), new PassThrough(), new PassThrough()]
  const read = (stream: PassThrough) => {
    const chunks: Buffer[] = []
    stream.on('data', chunk => chunks.push(chunk))
    return () => Buffer.concat(chunks).toString('utf8')
  }
  const [shown, said] = [read(stdout), read(stderr)]
  try {
    const holder = await joinSession({...{connection, stdin, stdout, stderr}, sid: 'a', mode: 'observer'})
    return {holder, shown: shown(), said: said()}
  } finally {
    connection.disconnect()
    await server.closed
  }
}

describe('what a machine shows that holds a session', () => {
  test('reaches nothing outside of the screen, though that machine may be the one under watch', async () => {
    const {shown, said} = await joined(channel => {
      channel.stderr.write('sallyport: \u001b]0;owned\u0007hi\r\n')
      channel.write('a\u001b]52;c;aGk=\u0007b\u001b[6nc\u001b]0;title\u0007d\u0005e\u001bP$qm\u001b\\f')
      ended(channel)
    })
    expect(shown).toBe('abcdef')
    expect(said).toBe('sallyport: ?]0;owned?hi\r\n')
  })

  test('is shown as it is where it is harmless, split wherever it is', async () => {
    const piece = fc.constantFrom(
      'привет',
      '漢字🙂',
      '\u001b[31;1m',
      '\u001b[2;3H',
      '\r\n',
      '\u001b[?1049h',
      '\u001b(0qx\u001b(B',
    )
    await fc.assert(
      fc.asyncProperty(
        fc.array(piece, {maxLength: 20}),
        fc.integer({min: 1, max: 7}),
        async (pieces, size) => {
          const recent = createRecentOutput({
            ...{size: {columns: 40, rows: 8}, monotonic: () => 0},
            mayDraw: () => true,
          })
          recent.keep(Buffer.from(pieces.join('')))
          const harmless = (await recent.screen()) + recent.pass(Buffer.from(pieces.join('')))
          const bytes = Buffer.from(harmless)
          const {shown} = await joined(channel => {
            for (let at = 0; at < bytes.length; at += size) channel.write(bytes.subarray(at, at + size))
            ended(channel)
          })
          // Nothing is ever left open that CAN would have to end.
          expect(shown).toBe(harmless.replaceAll('\u0018', ''))
        },
      ),
      {numRuns: 20},
    )
  })
})

describe('a proxy that does not hold the session', () => {
  test('says who does', async () => {
    const {holder, shown, said} = await joined(channel => {
      const machine = new WireWriter().string('uuid-1').string('far\u001b[2J1').finish()
      void channel.request('session-holder@sallyport', machine, false)
      channel.stderr.write('sallyport: the session runs at far1, and not at this proxy [unavailable]\r\n')
      ended(channel)
    })
    expect(holder).toEqual({id: 'uuid-1', name: 'far?[2J1'})
    expect([shown, said]).toEqual(['', ''])
  })

  test('is not believed that a session which it shows is elsewhere', async () => {
    const {holder, shown} = await joined(channel => {
      void channel.request('session-size@sallyport', new WireWriter().u32(80).u32(24).finish(), false)
      channel.write('shown')
      void channel.request(
        'session-holder@sallyport',
        new WireWriter().string('a').string('b').finish(),
        false,
      )
      ended(channel)
    })
    expect([holder, shown]).toEqual([undefined, 'shown'])
  })
})
