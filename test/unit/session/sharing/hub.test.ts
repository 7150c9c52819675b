import {afterEach, beforeEach, describe, expect, test, vi} from 'vitest'
import type {SessionEnding} from '../../../../src/lib/auth/contract.js'
import {problem} from '../../../../src/lib/errors/index.js'
import {startSessionHub} from '../../../../src/lib/session/index.js'
import {facts, fakeAuth} from '../../forward/fixture.js'

const start = {interactive: true, size: {columns: 80, rows: 24}}

beforeEach(() => void vi.useFakeTimers({toFake: ['setInterval', 'clearInterval', 'Date']}))
afterEach(() => void vi.useRealTimers())

/** An auth service whose endings are told through `tell`, and whose stream of them breaks with `fail`. */
function endings() {
  let wake = (): void => undefined
  let broken = false
  let known: SessionEnding[] = []
  let watched = 0
  return {
    tell(next: SessionEnding[]) {
      known = next
      wake()
    },
    fail() {
      broken = true
      wake()
    },
    watched: () => watched,
    async *watch({signal}: {signal: AbortSignal}): AsyncGenerator<SessionEnding[]> {
      watched += 1
      broken = false
      signal.addEventListener('abort', () => wake())
      while (!signal.aborted) {
        if (broken) throw problem('unavailable', 'cut off')
        yield known
        if (signal.aborted) return
        await new Promise<void>(resolve => {
          wake = resolve
        })
      }
    },
  }
}

async function hubOf({failures = 0} = {}) {
  const auth = fakeAuth()
  const ending = endings()
  const dropped: string[] = []
  const warn = vi.fn()
  const hub = await startSessionHub({
    auth: Object.assign(auth, {
      dropTrackers: async (heldBy: string) => {
        if (failures-- > 0) throw problem('unavailable', 'away')
        dropped.push(heldBy)
        auth.trackers.clear()
      },
      watchEndings: async (request: {signal: AbortSignal}) => ending.watch(request),
    }),
    ...{heldBy: 'uuid-1', holder: 'proxy-1', now: Date.now},
    log: {warn, info: vi.fn()},
  })
  const ended: string[] = []
  const host = (sid: string) =>
    hub.host({
      ...{facts: {...facts, sid}, roles: ['access'], oversight: []},
      controls: {
        input: () => undefined,
        tell: () => undefined,
        end: error => void ended.push(`${sid} ${error.message}`),
      },
    })
  return {auth, hub, ending, dropped, warn, ended, host}
}

const settle = () => new Promise<void>(resolve => void setImmediate(resolve))

describe('the sessions of a process', () => {
  test('begin with none: what an earlier process left is dropped', async () => {
    const {hub, dropped} = await hubOf()
    expect(dropped).toEqual(['uuid-1'])
    await hub.close()
  })

  test('are found from their beginning to their end', async () => {
    const {hub, host} = await hubOf()
    const party = host('sid-1')
    expect(hub.find('sid-1')).toBeUndefined()
    await party.open(start)
    expect(hub.find('sid-1')).toBe(party)
    await party.close()
    expect(hub.find('sid-1')).toBeUndefined()
    await hub.close()
  })

  test('are ended when somebody elsewhere wants it, once, also over a stream that broke', async () => {
    const {hub, host, ending, ended, warn} = await hubOf()
    const [one, two] = [host('sid-1'), host('sid-2')]
    await Promise.all([one.open(start), two.open(start)])
    ending.tell([
      {sid: 'sid-1', by: 'ann', reason: 'maintenance'},
      {sid: 'elsewhere', by: 'ann'},
    ])
    await settle()
    expect(ended).toEqual(['sid-1 ann has ended this session: maintenance'])
    ending.fail()
    await settle()
    expect(warn).toHaveBeenCalledOnce()
    ending.tell([
      {sid: 'sid-1', by: 'ann', reason: 'maintenance'},
      {sid: 'sid-2', by: 'admin'},
    ])
    await vi.waitFor(() => expect(ended).toHaveLength(2))
    expect(ending.watched()).toBe(2)
    expect(ended.slice(1)).toEqual(['sid-2 admin has ended this session'])
    await hub.close()
  })

  test('that begin while the cluster cannot be told are told when it can, those of before dropped first', async () => {
    const {hub, host, auth, dropped, ending} = await hubOf({failures: 2})
    expect(dropped).toEqual([])
    const party = host('sid-1')
    await party.open(start)
    ending.fail()
    await vi.waitFor(() => expect(dropped).toEqual(['uuid-1']), {timeout: 10_000})
    await vi.waitFor(() => expect(auth.trackers.has('sid-1')).toBe(true), {timeout: 10_000})
    expect(ending.watched()).toBe(2)
    await party.close()
    await hub.close()
  })

  test('are told again long before the cluster would forget them', async () => {
    const {hub, host, auth} = await hubOf()
    const party = host('sid-1')
    await party.open(start)
    auth.trackers.clear()
    await vi.advanceTimersByTimeAsync(11 * 60_000)
    expect(auth.trackers.has('sid-1')).toBe(true)
    await party.close()
    await vi.advanceTimersByTimeAsync(60 * 60_000)
    expect(auth.trackers.has('sid-1')).toBe(false)
    await hub.close()
  })
})
