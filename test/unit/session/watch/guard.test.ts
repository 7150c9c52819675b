import {describe, expect, test, vi} from 'vitest'
import type {Lock} from '../../../../src/lib/access/index.js'
import {problem, type SallyportError} from '../../../../src/lib/errors/index.js'
import {createGuard, type GuardedConnection} from '../../../../src/lib/session/watch/guard.js'
import {personOf, startLockWatch} from '../../../../src/lib/session/watch/lock-watch.js'

const lock = (kind: Lock['kind'], name: string, more: Partial<Lock> = {}): Lock => ({
  ...{id: `${kind}-${name}`, kind, name, created: 0, createdBy: 'admin'},
  ...more,
})

/** An auth service that says what the test says, one state of the locks at a time. */
function fakeAuth() {
  const states: (readonly Lock[] | Error)[] = [[]]
  let wake: () => void = () => undefined
  let asked = 0
  const say = (state: readonly Lock[] | Error): void => {
    states.push(state)
    wake()
  }
  async function* follow(signal: AbortSignal): AsyncGenerator<readonly Lock[]> {
    while (!signal.aborted) {
      const state = states.shift()
      if (state instanceof Error) throw state
      if (state) yield state
      else
        await new Promise<void>(resolve => {
          wake = resolve
          signal.addEventListener('abort', () => resolve())
        })
    }
  }
  return {
    say,
    asked: () => asked,
    watchLocks: async ({signal}: {signal: AbortSignal}) => {
      asked++
      return follow(signal)
    },
  }
}

async function world({now = (): number => 0} = {}) {
  const auth = fakeAuth()
  const log = {warn: vi.fn(), info: vi.fn()}
  const locks = await startLockWatch({auth, log, now})
  const guard = createGuard(locks)
  const enter = (more: Partial<GuardedConnection> = {}) => {
    let end: (error: SallyportError) => void = () => undefined
    const ended = new Promise<SallyportError>(resolve => {
      end = resolve
    })
    const onLocked = vi.fn((error: SallyportError) => end(error))
    const place = guard.enter({
      identity: {user: 'joe', roles: ['dev']},
      logins: ['root'],
      host: 'db1',
      lock: 'best_effort',
      maxConnections: 0,
      ...more,
      onLocked,
    })
    return {...place, onLocked, ended}
  }
  return {auth, log, locks, enter}
}

describe('a lock', () => {
  test.each([lock('user', 'JOE'), lock('role', 'dev'), lock('login', 'root'), lock('node', 'db1')])(
    'ends the connections it is against, once, and lets no more in: $kind $name',
    async one => {
      const {auth, locks, enter} = await world()
      const there = enter()
      const other = enter({identity: {user: 'ann', roles: ['ops']}, logins: ['ann'], host: 'db2'})
      auth.say([one])
      expect(await there.ended).toMatchObject({
        code: 'access_denied',
        message: `the ${one.kind} ${one.name} is locked`,
      })
      expect(() => enter()).toThrow('is locked')
      auth.say([one, lock('user', 'nobody')])
      auth.say([])
      await vi.waitFor(() => expect(() => enter()).not.toThrow())
      expect(there.onLocked).toHaveBeenCalledTimes(1)
      expect(other.onLocked).not.toHaveBeenCalled()
      await locks.close()
    },
  )

  test('that has expired is none', async () => {
    let now = 0
    const {auth, locks, enter} = await world({now: () => now})
    auth.say([lock('user', 'joe', {expires: 1000})])
    await vi.waitFor(() => expect(() => enter()).toThrow('is locked until 1970-01-01T00:00:01.000Z'))
    now = 1000
    enter()
    await locks.close()
  })

  test('on an address is against every name of it, before and after it is reached', async () => {
    const {auth, locks, enter} = await world()
    const there = enter()
    there.reached('192.0.2.7:22')
    const six = enter()
    six.reached('[2001:db8::7]:22')
    const late = enter()
    auth.say([lock('node', '192.0.2.7'), lock('node', '2001:db8::7')])
    await Promise.all([there.ended, six.ended])
    expect(late.onLocked).not.toHaveBeenCalled()
    expect(() => late.reached('192.0.2.7:22')).toThrow('the node 192.0.2.7 is locked')
    await locks.close()
  })

  test('leaves those alone who have left', async () => {
    const {auth, locks, enter} = await world()
    const gone = enter()
    gone.leave()
    const there = enter()
    auth.say([lock('user', 'joe')])
    await there.ended
    expect(gone.onLocked).not.toHaveBeenCalled()
    await locks.close()
  })

  test('on a person shuts the proxy itself', async () => {
    const {auth, locks} = await world()
    const person = personOf({user: 'joe', roles: ['dev'], logins: ['root'], validBefore: 0})
    auth.say([lock('login', 'root'), lock('node', 'db1')])
    auth.say([lock('role', 'dev')])
    await vi.waitFor(() => expect(() => locks.check(person, 'best_effort')).toThrow('the role dev is locked'))
    await locks.close()
  })
})

describe('when nobody can say which locks are in force', () => {
  test('strict connections end and others go on with the last word, until it is known again', async () => {
    const {auth, log, locks, enter} = await world()
    auth.say([lock('user', 'ann')])
    await vi.waitFor(() => expect(() => enter({identity: {user: 'ann', roles: []}})).toThrow('locked'))
    const strict = enter({lock: 'strict'})
    const easy = enter()
    auth.say(problem('unavailable', 'gone'))
    expect(await strict.ended).toMatchObject({
      code: 'unavailable',
      message: 'nobody can say which locks are in force',
    })
    expect(easy.onLocked).not.toHaveBeenCalled()
    expect(() => enter({lock: 'strict'})).toThrow('nobody can say')
    expect(() => enter({identity: {user: 'ann', roles: []}})).toThrow('locked')
    expect(log.warn).toHaveBeenCalledTimes(1)
    auth.say([])
    await vi.waitFor(() => expect(() => enter({lock: 'strict'})).not.toThrow())
    expect(auth.asked()).toBe(2)
    await locks.close()
  })

  test('at the start, the proxy does not start', async () => {
    const log = {warn: vi.fn(), info: vi.fn()}
    const watchLocks = async () => {
      throw problem('unavailable', 'no auth service')
    }
    await expect(startLockWatch({auth: {watchLocks}, log, now: () => 0})).rejects.toThrow('no auth service')
  })

  test('at the start, it starts with the locks it knew, those who want them strict stay out, until it is told', async () => {
    const auth = fakeAuth()
    const log = {warn: vi.fn(), info: vi.fn()}
    let away = true
    const watchLocks = (request: {signal: AbortSignal}) =>
      away ? Promise.reject(problem('unavailable', 'no auth service')) : auth.watchLocks(request)
    const lock: Lock = {id: '1', kind: 'user', name: 'joe', created: 0, createdBy: 'ann'}
    const locks = await startLockWatch({auth: {watchLocks}, knownLocks: [lock], log, now: () => 0})
    const joe = personOf({user: 'joe', roles: []} as never)
    const ann = personOf({user: 'ann', roles: []} as never)
    expect(() => locks.check(joe, 'best_effort')).toThrow('the user joe is locked')
    expect(() => locks.check(ann, 'strict')).toThrow('nobody can say which locks are in force')
    expect(() => locks.check(ann, 'best_effort')).not.toThrow()
    away = false
    auth.say([])
    await vi.waitFor(() => expect(() => locks.check(ann, 'strict')).not.toThrow(), {timeout: 10_000})
    expect(() => locks.check(joe, 'strict')).not.toThrow()
    await locks.close()
  })
})

describe('connections of a user at a time', () => {
  test('are as many as the roles allow, however the name is spelled', async () => {
    const {locks, enter} = await world()
    const first = enter({maxConnections: 2})
    enter({maxConnections: 2, identity: {user: 'Joe', roles: []}})
    expect(() => enter({maxConnections: 2})).toThrow('joe has 2 connections to hosts already')
    enter({maxConnections: 2, identity: {user: 'ann', roles: []}})
    first.leave()
    first.leave()
    enter({maxConnections: 2})
    expect(() => enter({maxConnections: 1})).toThrow('joe has 1 connection to hosts already')
    enter({maxConnections: 0})
    await locks.close()
  })
})
