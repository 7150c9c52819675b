import {duplexPair} from 'node:stream'
import {afterEach, beforeEach, describe, expect, it, vi} from 'vitest'
import type {AuditInput} from '../../../src/lib/audit/event.js'
import {problem} from '../../../src/lib/errors/index.js'
import type {WayTerms} from '../../../src/lib/forward/types.js'
import {type PassageOptions, passThrough} from '../../../src/lib/proxy/passage.js'
import type {ServedClient} from '../../../src/lib/session/index.js'
import type {Channel} from '../../../src/lib/ssh/index.js'
import {everything, openGuard} from '../forward/fixture.js'
import {openChannel, pair, settle} from '../ssh/fixture.js'

beforeEach(() => vi.useFakeTimers({toFake: ['setTimeout', 'clearTimeout', 'Date', 'performance']}))
afterEach(() => vi.useRealTimers())

const hour = 3_600_000

/** Somebody who is led to a host, both ends in hand. */
async function led(
  changes: Partial<PassageOptions['options']> = {},
  terms?: WayTerms,
  facts: Partial<PassageOptions> = {},
) {
  const [client, channel] = await openChannel(await pair(), 'dial@sallyport')
  const [stream, host] = duplexPair()
  const events: AuditInput[] = []
  const words: string[] = []
  const running = new Set<ServedClient>()
  const guard = openGuard()
  host.resume()
  client.resume()
  await passThrough({
    ...{guard, running, now: Date.now},
    identity: {user: 'joe', roles: [], logins: ['root'], validBefore: (Date.now() + hour) / 1000},
    target: {
      ...{host: 'db1', port: 22},
      dial: async () => ({stream, address: '192.0.2.7:22', ...(terms && {terms})}),
    },
    options: {...everything, ...changes},
    fields: {user_cluster_name: 'root.test'},
    emit: async input => void events.push(input),
    ...{openChannel: () => channel, hostAuthorities: undefined},
    farewell(end: Channel, error) {
      // Nothing can be said once it was told that no more comes.
      words.push(end.writableEnded ? 'too late' : error.message)
      end.close()
    },
    log: {warn: vi.fn(), info: vi.fn()},
    pinned: false,
    ...facts,
  })
  const closed = new Promise(resolve => client.once('close', resolve))
  return {client, host, stream, events, words, running, guard, closed}
}

const isOver = async ({closed, stream, running, guard}: Awaited<ReturnType<typeof led>>): Promise<void> => {
  await closed
  await vi.waitFor(() => expect(running.size).toBe(0))
  expect(stream.destroyed).toBe(true)
  expect(guard.inside.size).toBe(0)
}

describe('somebody who is led to a host', () => {
  it('is put out when nothing has passed for as long as the roles allow, on record', async () => {
    const there = await led({idleTimeoutSeconds: 60})
    vi.advanceTimersByTime(59_000)
    const arrived = new Promise(resolve => there.host.once('data', resolve))
    there.client.write('still here')
    await arrived
    vi.advanceTimersByTime(59_000)
    expect(there.words).toEqual([])
    vi.advanceTimersByTime(2000)
    await isOver(there)
    expect(there.words).toEqual([expect.stringContaining('60 s')])
    expect(there.events.map(({event}) => event)).toEqual(['session.connect', 'client.disconnect'])
    expect(there.events[1]?.fields).toMatchObject({user_cluster_name: 'root.test'})
  })

  it.each([
    [true, ['your certificate has expired, and with it this connection']],
    [false, []],
  ])('is put out with the certificate only where that counts: %s', async (disconnectExpiredCert, words) => {
    const there = await led({disconnectExpiredCert})
    vi.advanceTimersByTime(hour - 1000)
    expect(there.words).toEqual([])
    vi.advanceTimersByTime(61_000)
    if (disconnectExpiredCert) await isOver(there)
    else await settle()
    expect(there.words).toEqual(words)
    there.stream.destroy()
  })

  it('is put out by what the other cluster demands', async () => {
    const there = await led({}, {maxSessions: 0, idleTimeoutSeconds: 5, ended: () => undefined})
    vi.advanceTimersByTime(5001)
    await isOver(there)
    expect(there.words).toEqual([expect.stringContaining('5 s')])
  })

  it('is told why the other cluster has ended the way', async () => {
    const ended = () => problem('access_denied', 'locked there')
    const there = await led({}, {maxSessions: 0, idleTimeoutSeconds: 0, ended})
    there.stream.destroy()
    await isOver(there)
    expect(there.words).toEqual(['locked there'])
  })

  it('is waited for by a proxy on its way out, and then told', async () => {
    const there = await led()
    const [waited] = there.running
    let done = false
    void waited?.done.then(() => {
      done = true
    })
    waited?.end(problem('unavailable', 'the proxy is shutting down'))
    await isOver(there)
    await waited?.done
    expect(done).toBe(true)
    expect(there.words).toEqual(['the proxy is shutting down'])
  })

  it('is over when either end goes', async () => {
    const first = await led()
    first.stream.destroy()
    await isOver(first)
    const second = await led()
    second.client.close()
    await isOver(second)
    expect([...first.words, ...second.words]).toEqual([])
  })
})

it('nobody is led where the roles ask for somebody who looks on', async () => {
  const oversight: never[] = []
  await expect(led({oversight})).rejects.toMatchObject({code: 'access_denied'})
})

describe('where nobody can look inside', () => {
  const node = (fields: Partial<PassageOptions['target']> = {}): Partial<PassageOptions> => {
    const registered = {id: 'uuid', subKind: 'node', hostname: 'db1', labels: {}} as const
    const [stream, host] = duplexPair()
    host.resume()
    return {
      target: {host: 'db1', port: 22, registered, dial: async () => ({stream, address: 'x:1'}), ...fields},
      hostAuthorities: async () => [],
    }
  }

  it('nobody is led who has to show a second factor, but to a node of ours, which asks', async () => {
    const mfa = {requireSessionMfa: true}
    const words = /need a second factor, and nobody on the way to this host can ask for it/
    await expect(led(mfa)).rejects.toMatchObject({
      code: 'access_denied',
      message: expect.stringMatching(words),
    })
    // A user of another cluster, whose login the leaf knows.
    await expect(led(mfa, undefined, {...node(), login: 'root'})).rejects.toMatchObject({
      code: 'access_denied',
    })
    // One that nobody asks to prove that it is that node.
    await expect(led(mfa, undefined, {...node(), hostAuthorities: undefined})).rejects.toMatchObject({
      code: 'access_denied',
    })
    const passed = await led(mfa, undefined, node())
    passed.client.close()
  })

  it('nobody is led whose certificate has to be pinned and is not', async () => {
    const pinned = {pinSourceIp: true}
    await expect(led(pinned)).rejects.toMatchObject({code: 'access_denied', hint: 'log in again'})
    const passed = await led(pinned, undefined, {pinned: true})
    passed.client.close()
    await isOver(passed)
  })
})
