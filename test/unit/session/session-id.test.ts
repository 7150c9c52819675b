import {describe, expect, test} from 'vitest'
import {openHostSession, tellSessionId} from '../../../src/lib/session/index.js'
import type {Channel, SshConnection} from '../../../src/lib/ssh/index.js'
import {pair} from '../ssh/fixture.js'

const own = '00000000-0000-4000-8000-000000000001'
const theirs = '00000000-0000-4000-8000-00000000000a'
const current = 'current-session-id@goteleport.com'

interface Host {
  /** Undefined: refuses, as hosts do that do not know the request. */
  answer?: boolean | Buffer
  opened?(channel: Channel, connection: SshConnection): void
}

async function settled({answer = false, opened}: Host, patience = 60): Promise<string[]> {
  const {client, server} = await pair()
  const asked: string[] = []
  server.onGlobalRequest = ({type}) => {
    asked.push(type)
    return answer
  }
  server.onChannelOpen = open => {
    asked.push(open.type)
    opened?.(open.accept(), server)
  }
  const {sid} = await openHostSession(client, own, patience)
  return [sid, ...asked]
}

const order = ['session', 'session-id-query-v2@goteleport.com']

describe('the ID of a session', () => {
  test('is the one of a host that shares it; asked after the session was opened', async () => {
    const said = await settled({answer: true, opened: channel => tellSessionId(channel, theirs)})
    expect(said).toEqual([theirs, ...order])
  })

  test('is the one of a host that tells it only after the answer', async () => {
    const opened = (channel: Channel): void => void setImmediate(() => tellSessionId(channel, theirs))
    expect((await settled({answer: true, opened}, 5000))[0]).toBe(theirs)
  })

  test('is our own with a host that does not know the question', async () => {
    expect(await settled({opened: () => undefined})).toEqual([own, ...order])
  })

  test('is our own with a host that says no, whatever ID it sends', async () => {
    expect((await settled({opened: channel => tellSessionId(channel, theirs)}))[0]).toBe(own)
  })

  test('is our own, after a while, with a host that says yes and then nothing', async () => {
    expect((await settled({answer: true, opened: () => undefined}))[0]).toBe(own)
  })

  test('is our own with a host that says yes and hangs up', async () => {
    expect((await settled({answer: true, opened: channel => channel.close()}, 5000))[0]).toBe(own)
  })

  test.each(['', '../../etc/passwd', theirs.toUpperCase(), `${theirs}\n`, `${theirs}0`, 'x'.repeat(30_000)])(
    'is never %j',
    async text => {
      const opened = (channel: Channel): void => void channel.request(current, Buffer.from(text), false)
      expect((await settled({answer: true, opened}))[0]).toBe(own)
    },
  )

  test('is the first that is told; nothing changes it afterwards', async () => {
    const opened = (channel: Channel): void => {
      tellSessionId(channel, theirs)
      tellSessionId(channel, own.replace(/1$/, '2'))
    }
    expect((await settled({answer: true, opened}))[0]).toBe(theirs)
  })

  test('of a session that a host refuses is nobody’s: the refusal is told', async () => {
    const {client, server} = await pair()
    server.onChannelOpen = open => open.reject(4, 'no room')
    await expect(openHostSession(client, own)).rejects.toThrow('no room')
  })
})
