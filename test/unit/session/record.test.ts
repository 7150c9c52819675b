import {describe, expect, it, vi} from 'vitest'
import {problem} from '../../../src/lib/errors/index.js'
import {facts, fakeAuth, record} from '../forward/fixture.js'

const names = (auth: ReturnType<typeof fakeAuth>): string[] => auth.events.map(({event}) => event)
const start = {interactive: true, size: {columns: 100, rows: 30}}

describe('the record of a session', () => {
  it('has one start, one recording and one end, all under one id', async () => {
    const auth = fakeAuth()
    const {record: session} = record(auth)
    await session.begin({interactive: false, command: 'ls'})
    session.output(Buffer.from('out'), 'stdout')
    session.resize({columns: 90, rows: 20})
    await session.finish({code: 0}, 5)
    await session.finish({code: 1}, 6)
    expect(names(auth)).toEqual([
      'session.start',
      'resize',
      'session.upload',
      'exec',
      'session.data',
      'session.end',
    ])
    expect(new Set(auth.events.map(({sid}) => sid))).toEqual(new Set([facts.sid]))
    expect(auth.sealed).toEqual([facts.sid])
    expect(auth.named('exec')).toMatchObject([{success: true, fields: {command: 'ls', exitCode: 0}}])
    expect(auth.named('session.data')).toMatchObject([{fields: {tx: 3, rx: 5}}])
    expect(auth.named('session.end')).toMatchObject([
      {fields: {interactive: false, exit_code: 0, recorded: true, participants: ['joe']}},
    ])
  })

  it('has nothing where nothing began', async () => {
    const auth = fakeAuth()
    const {record: session} = record(auth)
    await session.finish(undefined, 0)
    expect(auth.events).toEqual([])
    await expect(session.begin(start)).rejects.toMatchObject({code: 'cancelled'})
    expect(auth.events).toEqual([])
  })

  it('has an end when the user leaves while it begins', async () => {
    const auth = fakeAuth()
    let open = (): void => undefined
    auth.gate = new Promise(resolve => {
      open = resolve
    })
    const {record: session} = record(auth)
    const beginning = session.begin(start)
    const finishing = session.finish(undefined, 0)
    open()
    await Promise.all([beginning, finishing])
    expect(auth.named('session.start')).toHaveLength(1)
    expect(auth.named('session.end')).toHaveLength(1)
    expect(auth.sealed).toHaveLength(1)
  })

  it('does not begin without its start on the audit log, and seals the recording that had begun', async () => {
    const auth = fakeAuth()
    auth.losing.add('session.start')
    const {record: session} = record(auth)
    await expect(session.begin(start)).rejects.toMatchObject({code: 'store_failed'})
    await session.finish(undefined, 0)
    expect(names(auth)).toEqual(['session.rejected'])
    expect(auth.sealed).toEqual([facts.sid])
  })

  it.each(['session.upload', 'exec', 'session.data'])(
    'has its end on record though %s is lost',
    async lost => {
      const auth = fakeAuth()
      const {record: session} = record(auth)
      await session.begin({interactive: false, command: 'ls'})
      auth.losing.add(lost)
      await expect(session.finish({code: 0}, 0)).rejects.toMatchObject({code: 'store_failed'})
      expect(names(auth)).toContain('session.end')
    },
  )

  it('says how a command ended', async () => {
    const ends = [
      [{code: 3}, {exitCode: 3}],
      [{signal: 'TERM'}, {exitError: 'signal TERM'}],
      [{reason: 'the proxy is shutting down'}, {exitError: 'the proxy is shutting down'}],
      [undefined, {exitError: 'the session was cut off'}],
    ] as const
    for (const [exit, fields] of ends) {
      const auth = fakeAuth()
      const {record: session} = record(auth)
      await session.begin({interactive: false, command: 'ls'})
      await session.finish(exit, 0)
      expect(auth.named('exec')).toMatchObject([{success: false, fields}])
    }
  })

  it('does not write an event for every size of a terminal that is dragged', async () => {
    const auth = fakeAuth()
    const {record: session} = record(auth)
    await session.begin(start)
    for (let n = 1; n <= 5000; n++) session.resize({columns: n, rows: 24})
    await session.finish(undefined, 0)
    expect(auth.named('resize').length).toBeLessThan(10)
    expect(auth.named('resize').at(-1)).toMatchObject({fields: {size: '5000:24'}})
    expect(names(auth).at(-1)).toBe('session.end')
  })
})

describe('a store that takes no recording', () => {
  it('ends a strict session before it begins', async () => {
    const auth = fakeAuth()
    auth.storeBroken = true
    const {record: session} = record(auth, {mode: 'strict'})
    await expect(session.begin(start)).rejects.toMatchObject({code: 'recording_unavailable'})
    await session.finish(undefined, 0)
    expect(auth.events).toMatchObject([
      {event: 'session.rejected', success: false, sid: facts.sid, error: expect.stringContaining('recorded')},
    ])
  })

  it('lets a session pass by best effort, and says on record that there is no recording', async () => {
    const auth = fakeAuth()
    auth.storeBroken = true
    const {record: session, failures} = record(auth)
    await session.begin(start)
    expect(session.output(Buffer.from('x'), 'stdout')).toBeUndefined()
    await session.finish({code: 0}, 0)
    expect(failures).toHaveLength(1)
    expect(names(auth)).not.toContain('session.upload')
    expect(auth.named('session.start')).toMatchObject([{fields: {recorded: false}}])
    expect(auth.named('session.end')).toMatchObject([{fields: {recorded: false}}])
  })

  it('because the ID is that of another session has nothing more of this one delivered, by best effort either', async () => {
    const auth = fakeAuth()
    const {record: session, failures} = record(auth)
    await session.begin(start)
    const cause = problem('already_exists', 'the session is held by another machine')
    auth.appendRecording = () => Promise.reject(problem('store_failed', 'auth does not take it', {cause}))
    session.output(Buffer.alloc(300_000, 'x'), 'stdout')
    await vi.waitFor(() => expect(failures).toHaveLength(1))
    expect(session.output(Buffer.from('unrecorded'), 'stdout')).toBe(false)
    await session.finish(undefined, 0)
  })

  it('delivers nothing more in the middle of a strict session', async () => {
    const auth = fakeAuth()
    const {record: session, failures} = record(auth, {mode: 'strict'})
    await session.begin(start)
    const seen: string[] = []
    const stdout = session.withhold?.('stdout', lent => void seen.push(lent.toString()))
    const give = (text: string) => {
      const chunk = Buffer.from(text)
      return stdout?.output(chunk, chunk)
    }
    give('on record')
    await vi.waitFor(() => expect(seen).toEqual(['on record']))
    auth.storeBroken = true
    give('in no recording')
    await vi.waitFor(() => expect(failures).toHaveLength(1))
    expect(give('nor that')).toBe(false)
    session.resize({columns: 10, rows: 10})
    await stdout?.flush()
    await session.finish(undefined, 0)
    expect(seen).toEqual(['on record'])
    expect(auth.named('session.data')).toMatchObject([{fields: {tx: 9}}])
    expect(auth.named('session.end')).toMatchObject([{fields: {recorded: false}}])
  })

  it('lets a session by best effort go on in the middle of it', async () => {
    const auth = fakeAuth()
    const {record: session, failures} = record(auth)
    await session.begin(start)
    expect(session.withhold).toBeUndefined()
    auth.storeBroken = true
    session.output(Buffer.alloc(300_000, 'x'), 'stdout')
    await vi.waitFor(() => expect(failures).toHaveLength(1))
    expect(session.output(Buffer.from('unrecorded'), 'stdout')).toBeUndefined()
    await session.finish(undefined, 0)
    expect(auth.named('session.end')).toMatchObject([{fields: {recorded: false}}])
  })

  it('withholds nothing where nothing is recorded', () => {
    expect(record(fakeAuth(), {mode: 'strict', place: 'off'}).record.withhold).toBeUndefined()
  })
})
