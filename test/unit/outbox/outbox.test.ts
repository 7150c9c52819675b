import {beforeEach, describe, expect, it} from 'vitest'
import {problem} from '../../../src/lib/errors/index.js'
import {eventually} from '../../support/eventually.js'
import {
  away,
  delivered,
  type FakeAuth,
  openOutbox,
  openPlace,
  play,
  recorded,
  session,
  spoolFiles,
  wholeTrail,
} from './fixture.js'

let directory: string
let auth: FakeAuth

beforeEach(async () => {
  ;({directory, auth} = await openPlace())
})

describe('while auth is there', () => {
  it('everything arrives in its order, and nothing is left', async () => {
    const outbox = await openOutbox({directory, auth})
    const sessions = Array.from({length: 5}, () => session())
    await Promise.all(sessions.map(one => play(outbox, one)))
    await delivered(outbox)
    for (const {sid} of sessions) {
      expect(auth.of(sid)).toEqual(wholeTrail)
      expect(await recorded(auth, sid)).toMatchObject({state: 'sealed', lines: ['line 1', 'line 2']})
    }
    await eventually(() => spoolFiles(directory).length === 0)
    expect(outbox.status()).toEqual({events: 0, recordings: 0, bytes: 0})
    expect(outbox.logged).toEqual([])
  })

  it('events of no session arrive in their order', async () => {
    const outbox = await openOutbox({directory, auth})
    const emits = Array.from({length: 1000}, (_, i) =>
      outbox.emit({event: 'auth', success: false, user: `u${i}`}),
    )
    await Promise.all(emits)
    await delivered(outbox)
    expect(auth.trail().map(({user}) => user)).toEqual(Array.from({length: 1000}, (_, i) => `u${i}`))
    expect(auth.calls.length).toBeLessThan(100)
  })
})

describe('while auth is away', () => {
  it('everything is taken, and arrives once when auth is back, with its own times', async () => {
    let clock = Date.now() - 3_600_000
    auth.fault = away
    const outbox = await openOutbox({directory, auth, now: () => clock})
    const one = session()
    await play(outbox, one)
    clock = Date.now()
    expect(outbox.status()).toMatchObject({
      ...{events: 4, recordings: 1, away: 'the auth service cannot be reached'},
    })
    await eventually(() => auth.calls.length > 3)
    auth.fault = () => undefined
    await delivered(outbox)
    expect(auth.of(one.sid)).toEqual(wholeTrail)
    const [start] = auth.trail()
    expect(Date.parse(start?.received ?? '') - Date.parse(start?.time ?? '')).toBeGreaterThan(3_500_000)
    expect(await recorded(auth, one.sid)).toMatchObject({state: 'sealed'})
    await eventually(() => outbox.logged.length >= 3)
    expect(outbox.logged.map(line => line.replace(/ \{.*/, ''))).toEqual([
      'the auth service cannot be told: events and recordings are kept until it can',
      'the auth service is back: what was kept is being delivered',
      'all that was kept is delivered',
    ])
    expect(outbox.logged.at(-1)).toContain('"events":4,"recordings":1')
  })

  it('a wake-up tries at once', async () => {
    auth.fault = away
    const outbox = await openOutbox({directory, auth, retry: {firstMs: 3_600_000, longestMs: 3_600_000}})
    await outbox.emit({event: 'port'})
    await eventually(() => outbox.status().away !== undefined)
    auth.fault = () => undefined
    outbox.wake()
    await delivered(outbox)
    expect(auth.trail()).toHaveLength(1)
  })

  it('a call that fails before or after it was carried out makes nothing twice', async () => {
    let count = 0
    auth.fault = () => {
      count++
      if (count % 3 === 0) return undefined
      return {when: count % 3 === 1 ? 'after' : 'before', error: problem('unavailable', 'cut')}
    }
    const outbox = await openOutbox({directory, auth})
    const sessions = Array.from({length: 6}, () => session(6))
    await Promise.all(sessions.map(one => play(outbox, one)))
    await delivered(outbox)
    for (const {sid} of sessions) {
      expect(auth.of(sid)).toEqual(wholeTrail)
      expect((await recorded(auth, sid)).lines).toEqual(['line 1', 'line 2', 'line 3', 'line 4', 'line 5'])
    }
  })

  it('one session that auth cannot take holds no other one up, and is not tried without a pause', async () => {
    const [bad, good] = [session(), session()]
    let tries = 0
    const outbox = await openOutbox({
      directory,
      auth: {
        ...auth,
        beginRecording: async meta => {
          if (meta.sid !== bad.sid) return await auth.beginRecording(meta)
          tries++
          throw problem('internal', 'cannot')
        },
      },
      // Six tries would take half a minute.
      retry: {firstMs: 1000, longestMs: 60_000},
    })
    await play(outbox, bad)
    await play(outbox, good)
    await eventually(() => outbox.status().events === 4)
    expect(auth.of(good.sid)).toEqual(wholeTrail)
    expect(outbox.status()).toMatchObject({events: 4, recordings: 1})
    expect(tries).toBeLessThan(6)
  })

  it('a recording that auth refuses is given up, said so, and its events go on', async () => {
    const one = session()
    const outbox = await openOutbox({
      directory,
      auth: {
        ...auth,
        appendRecording: async (sid, chunk) => {
          if (chunk.sequence === 2) throw problem('invalid_input', 'no good')
          return await auth.appendRecording(sid, chunk)
        },
      },
    })
    await outbox.beginRecording(one.meta)
    for (const chunk of one.chunks) await outbox.appendRecording(one.sid, chunk)
    await outbox.emit(one.event('session.start'))
    await eventually(() =>
      outbox.logged.some(line => line.startsWith('the auth service does not take a recording')),
    )
    await expect(outbox.sealRecording(one.sid, one.end)).rejects.toMatchObject({code: 'store_failed'})
    await outbox.emit(one.event('session.end', {recorded: false}))
    await delivered(outbox)
    expect(auth.of(one.sid).sort()).toEqual(['session.end', 'session.start', 'session.upload'])
    expect(await recorded(auth, one.sid)).toMatchObject({state: 'truncated', lines: ['line 1']})
  })

  it('an event that auth refuses is left out, and those around it arrive', async () => {
    const outbox = await openOutbox({directory, auth})
    auth.fault = away
    await outbox.emit({event: 'port', user: 'a'})
    await outbox.emit({event: 'port', user: 'b', uid: 'not looked at'} as never)
    await outbox.emit({event: 'port', user: 'c'})
    auth.fault = () => undefined
    const {emit} = auth
    auth.emit = async input => {
      if (input.user === 'b') throw problem('invalid_input', 'no good')
      return await emit(input)
    }
    const {emitAll} = auth
    auth.emitAll = async inputs => {
      if (inputs.some(({user}) => user === 'b')) throw problem('invalid_input', 'no good')
      await emitAll(inputs)
    }
    await delivered(outbox)
    expect(auth.trail().map(({user}) => user)).toEqual(['a', 'c'])
    expect(outbox.logged.some(line => line.includes('does not take an audit event'))).toBe(true)
  })
})

describe('where auth denies', () => {
  const denied = () => problem('access_denied', 'another machine cannot put port on record')
  const isNew = ({event}: {event: string}) => event === 'port'
  /** As one of an older version, which does not know an event: with the others of a batch it refuses them all. */
  const older = (): FakeAuth => ({
    ...auth,
    emit: async input => {
      if (isNew(input)) throw denied()
      return await auth.emit(input)
    },
    emitAll: async inputs => {
      if (inputs.some(isNew)) throw denied()
      await auth.emitAll(inputs)
    },
  })

  it.each([false, true])(
    'one event, that one alone is left out, and nothing waits for it (sync: %s)',
    async sync => {
      const outbox = await openOutbox({directory, auth: older(), sync})
      for (let i = 0; i < 5; i++) {
        const one = session()
        await outbox.emit({event: 'port', user: `u${i}`})
        await play(outbox, one)
        await outbox.emit(one.event('port'))
        await delivered(outbox)
        expect(auth.of(one.sid)).toEqual(wholeTrail)
      }
      expect(outbox.logged.map(line => line.replace(/ \{.*/, ''))).toEqual(
        Array.from({length: 10}, () => 'the auth service does not take an audit event'),
      )
    },
  )

  it('the machine, everything waits until it no longer does', async () => {
    auth.fault = () => ({when: 'before', error: problem('access_denied', 'locked: stolen')})
    const outbox = await openOutbox({directory, auth})
    const one = session()
    await play(outbox, one)
    await eventually(() => outbox.status().away !== undefined)
    expect(outbox.status()).toMatchObject({events: 4, recordings: 1, away: 'locked: stolen'})
    auth.fault = () => undefined
    await delivered(outbox)
    expect(auth.of(one.sid)).toEqual(wholeTrail)
    expect(await recorded(auth, one.sid)).toMatchObject({state: 'sealed', lines: ['line 1', 'line 2']})
  })

  it('a step, and cannot be asked why, nothing is given up', async () => {
    let asked = 0
    const outbox = await openOutbox({
      directory,
      auth: {
        ...older(),
        ping: async () => {
          asked++
          throw problem('unavailable', 'cut')
        },
      },
    })
    await outbox.emit({event: 'port'})
    await eventually(() => asked > 2)
    expect(outbox.status()).toMatchObject({events: 1, away: 'cut'})
  })
})

describe('after a process that was killed', () => {
  it('what it kept arrives, and its sessions get their end', async () => {
    auth.fault = away
    const killed = await openOutbox({directory, auth})
    const [whole, open] = [session(), session()]
    await play(killed, whole)
    await killed.beginRecording(open.meta)
    await killed.appendRecording(open.sid, open.chunks[0] as never)
    await killed.emit(open.event('session.start', {interactive: true}))
    await killed.appendRecording(open.sid, open.chunks[1] as never)
    await killed.close(0)
    auth.fault = () => undefined
    const outbox = await openOutbox({directory, auth})
    await eventually(() => auth.of(open.sid).includes('session.end'))
    await delivered(outbox)
    expect(auth.of(whole.sid)).toEqual(wholeTrail)
    expect(auth.of(open.sid)).toEqual(['session.start', 'session.upload', 'session.end'])
    expect(auth.trail().find(({sid, event}) => sid === open.sid && event === 'session.end')).toMatchObject({
      ...{user: 'joe', login: 'root', server_hostname: 'web1', recorded: true, truncated: true},
      ...{interactive: true, participants: ['joe'], reason: 'the service ended before the session did'},
    })
    expect(await recorded(auth, open.sid)).toMatchObject({state: 'truncated', lines: ['line 1']})
    await eventually(() => spoolFiles(directory).length === 0)
  })

  it('a session of which auth had everything so far is told its end alone', async () => {
    const killed = await openOutbox({directory, auth})
    const one = session()
    await killed.beginRecording(one.meta)
    for (const chunk of one.chunks) await killed.appendRecording(one.sid, chunk)
    await killed.emit(one.event('session.start'))
    await delivered(killed)
    await killed.close(1000)
    auth.calls.length = 0
    const outbox = await openOutbox({directory, auth})
    await eventually(() => auth.of(one.sid).includes('session.end'))
    await delivered(outbox)
    expect(auth.calls.filter(call => !call.startsWith('emit'))).toEqual(['seal'])
    expect(auth.of(one.sid)).toEqual(['session.start', 'session.upload', 'session.end'])
  })
})

describe('the cap', () => {
  it('ends recordings, and leaves room for what ends their sessions', async () => {
    auth.fault = away
    const outbox = await openOutbox({directory, auth, capBytes: 200_000})
    const one = session(200, () => 'x'.repeat(10) + Math.random().toString(36).repeat(200))
    await outbox.beginRecording(one.meta)
    await outbox.emit(one.event('session.start'))
    let kept = 0
    const failure = await (async () => {
      for (const chunk of one.chunks) {
        await outbox.appendRecording(one.sid, {
          ...chunk,
          data: Buffer.concat([chunk.data, Buffer.alloc(4000)]),
        })
        kept++
      }
      return undefined
    })().catch(error => error)
    expect(failure).toMatchObject({code: 'limit_exceeded'})
    expect(kept).toBeGreaterThan(20)
    await expect(outbox.appendRecording(one.sid, one.chunks[kept] as never)).rejects.toMatchObject({
      code: 'limit_exceeded',
    })
    await outbox.emit(one.event('session.recording.failed'))
    await outbox.emit(one.event('session.end', {recorded: false}))
    expect(outbox.status().bytes).toBeLessThan(210_000)
    const other = session()
    await expect(outbox.beginRecording({...other.meta, command: 'x'.repeat(10_000)})).rejects.toMatchObject({
      code: 'limit_exceeded',
    })
  })
})

describe('where the cluster records in sync', () => {
  it('a step is taken when auth has it', async () => {
    const outbox = await openOutbox({directory, auth, sync: true})
    const one = session()
    await outbox.beginRecording(one.meta)
    expect(auth.calls).toContain('begin')
    await play(outbox, session())
    await outbox.emit({event: 'port', user: 'x'})
    expect(auth.trail().at(-1)).toMatchObject({user: 'x'})
  })

  it('nothing begins while auth is away, and what runs is told', async () => {
    const outbox = await openOutbox({directory, auth, sync: true})
    const one = session()
    await outbox.beginRecording(one.meta)
    await outbox.appendRecording(one.sid, one.chunks[0] as never)
    await outbox.emit(one.event('session.start'))
    auth.fault = away
    await expect(outbox.appendRecording(one.sid, one.chunks[1] as never)).rejects.toMatchObject({
      code: 'unavailable',
    })
    await expect(outbox.beginRecording(session().meta)).rejects.toMatchObject({code: 'unavailable'})
    await expect(outbox.emit(session().event('session.start'))).rejects.toMatchObject({code: 'unavailable'})
    await outbox.emit(one.event('session.end', {recorded: false}))
    auth.fault = () => undefined
    await delivered(outbox)
    await eventually(() => auth.of(one.sid).includes('session.upload'))
    expect(auth.of(one.sid).sort()).toEqual(['session.end', 'session.start', 'session.upload'])
    expect(await recorded(auth, one.sid)).toMatchObject({state: 'truncated', lines: ['line 1']})
  })
})
