import {describe, expect, test} from 'vitest'
import type {JoinMode, JoinRequirement} from '../../../../src/lib/access/index.js'
import {problem, type SallyportError} from '../../../../src/lib/errors/index.js'
import type {Seat} from '../../../../src/lib/session/sharing/audience.js'
import {hostedRecord} from '../../../../src/lib/session/sharing/hosted-record.js'
import {createParty, type PartyOptions} from '../../../../src/lib/session/sharing/party.js'
import {facts, fakeAuth, record} from '../../forward/fixture.js'

const requirement = (changes: Partial<JoinRequirement> = {}): JoinRequirement => ({
  ...{name: 'four eyes', roles: ['lead'], kinds: ['*'], modes: ['moderator'], count: 1},
  ...{onLeave: 'terminate', ...changes},
})

function host(options: Partial<PartyOptions> = {}) {
  const auth = fakeAuth()
  const seen = {told: [] as string[], typed: '', ended: [] as SallyportError[], problems: [] as unknown[]}
  let guests = 0
  const party = createParty({
    ...{auth, facts, roles: ['access'], oversight: [], heldBy: 'uuid-1', holder: 'proxy-1'},
    controls: {
      input(data) {
        seen.typed += data.toString()
        return undefined
      },
      tell: line => void seen.told.push(line),
      end: error => void seen.ended.push(error),
    },
    ...{now: () => 1000, monotonic: () => performance.now(), mayDraw: () => true},
    guestId: () => `guest-${++guests}`,
    onProblem: error => void seen.problems.push(error),
    onOpen: () => undefined,
    onClosed: () => undefined,
    ...options,
  })
  return {auth, party, seen}
}

function seat(): Seat & {told: string[]; closed: boolean} {
  const made = {
    ...{told: [] as string[], closed: false, waiting: 0, onDrained: undefined},
    show: () => undefined,
    forget: () => undefined,
    tell: (line: string) => void made.told.push(line),
    resize: () => undefined,
    close: () => {
      made.closed = true
    },
  }
  return made
}

const joiner = (user: string, mode: JoinMode, roles = ['lead']) => ({
  ...{user, roles, mode, address: '192.0.2.5:4', seat: seat()},
})

const start = {interactive: true, size: {columns: 80, rows: 24}}

describe('a session', () => {
  test('is known to the cluster before it may begin, and no more when it is over', async () => {
    const {auth, party} = host()
    await party.open({...start, command: 'c'.repeat(5000)})
    expect(auth.trackers.get(facts.sid)).toEqual({
      ...{sid: facts.sid, kind: 'ssh', state: 'running', user: 'joe', roles: ['access'], login: 'root'},
      ...{host: 'target.test', address: '192.0.2.1:22', heldBy: 'uuid-1', holder: 'proxy-1'},
      ...{interactive: true, command: 'c'.repeat(1000), started: 1000, participants: []},
    })
    await party.ready()
    await party.close()
    expect(auth.trackers.size).toBe(0)
    await party.close()
  })

  test('goes on when the cluster cannot be told of it, unless somebody has to look on', async () => {
    const broken = fakeAuth()
    broken.upsertTracker = async () => {
      throw problem('unavailable', 'no auth service')
    }
    const {party, seen} = host({auth: broken})
    await party.open(start)
    await party.ready()
    expect(seen.problems).toHaveLength(1)
    const overseen = host({auth: broken, oversight: [[requirement()]]})
    await expect(overseen.party.open(start)).rejects.toMatchObject({code: 'unavailable'})
  })

  test('waits until enough people look on, and says for whom', async () => {
    const {auth, party, seen} = host({oversight: [[requirement()]]})
    await party.open(start)
    let begun = false
    const ready = party.ready().then(() => {
      begun = true
    })
    expect(auth.trackers.get(facts.sid)).toMatchObject({
      ...{state: 'pending', waitsFor: '1 moderator with the role lead (four eyes)'},
    })
    expect(seen.told[0]).toContain('begins when there is 1 moderator with the role lead')
    await party.join(joiner('ann', 'observer'))
    await party.join(joiner('bob', 'moderator', ['dev']))
    await party.join(joiner('joe', 'moderator'))
    expect(begun).toBe(false)
    await party.join(joiner('eve', 'moderator'))
    await ready
    await new Promise(setImmediate)
    const tracker = auth.trackers.get(facts.sid)
    expect(tracker).toMatchObject({state: 'running'})
    expect(tracker?.participants.map(({user}) => user)).toEqual(['ann', 'bob', 'joe', 'eve'])
    expect(tracker).not.toHaveProperty('waitsFor')
  })

  test('that is not shown to anybody is never paused', () => {
    expect(host().party.paused).toBe(false)
  })

  test('that is over while it waits does not begin', async () => {
    const {party} = host({oversight: [[requirement()]]})
    await party.open(start)
    const ready = party.ready()
    await party.disperse()
    await expect(ready).rejects.toMatchObject({code: 'cancelled'})
    await expect(party.join(joiner('ann', 'observer'))).rejects.toMatchObject({code: 'not_found'})
  })

  test('ends when those who have to look on are gone', async () => {
    const {party, seen} = host({oversight: [[requirement()]]})
    await party.open(start)
    const guest = await party.join(joiner('ann', 'moderator'))
    await party.ready()
    await guest.leave()
    expect(seen.ended).toMatchObject([{code: 'access_denied'}])
    expect(seen.ended[0]?.message).toContain('without 1 moderator')
  })

  test('pauses instead where the roles say so: nothing is typed, and nothing comes', async () => {
    const {party, seen} = host({oversight: [[requirement({onLeave: 'pause'})]]})
    await party.open(start)
    const [ann, pia] = [await party.join(joiner('ann', 'moderator')), await party.join(joiner('pia', 'peer'))]
    await party.ready()
    expect(party.output(Buffer.from('x'))).toBeUndefined()
    pia.input(Buffer.from('a'))
    await ann.leave()
    expect(seen.ended).toEqual([])
    expect(party.paused).toBe(true)
    const held = party.output(Buffer.from('y'))
    expect(held).toBeInstanceOf(Promise)
    pia.input(Buffer.from('b'))
    expect(seen.typed).toBe('a')
    await party.join(joiner('eve', 'moderator'))
    await held
    expect(party.paused).toBe(false)
    pia.input(Buffer.from('c'))
    expect(seen.typed).toBe('ac')
    expect(seen.told.slice(-3)).toEqual([
      expect.stringContaining('is paused until'),
      'eve has joined as moderator',
      'the session goes on',
    ])
  })
})

describe('whoever has joined', () => {
  test('is on record before anything is shown, and when leaving, with an ID of their own', async () => {
    const {auth, party, seen} = host()
    await party.open(start)
    const one = joiner('ann', 'peer')
    const guest = await party.join(one)
    guest.input(Buffer.from('hello'))
    await Promise.all([guest.leave(), guest.leave()])
    const common = {user: 'ann', sid: facts.sid, 'addr.remote': '192.0.2.5:4', server_hostname: 'target.test'}
    expect(auth.events).toMatchObject([
      {event: 'session.join', ...common, fields: {participant_id: 'guest-1', mode: 'peer', owner: 'joe'}},
      {event: 'session.leave', ...common, fields: {participant_id: 'guest-1', typed: 5}},
    ])
    expect(auth.events).toHaveLength(2)
    expect(one.seat.closed).toBe(true)
    expect(seen.told).toEqual(['ann has joined as peer', 'ann, who joined as peer, has left'])
    expect(party.endFields()).toEqual({participants: ['joe', 'ann']})
  })

  test('does not, where that cannot be put on record', async () => {
    const {auth, party, seen} = host()
    await party.open(start)
    auth.losing.add('session.join')
    await expect(party.join(joiner('ann', 'peer'))).rejects.toMatchObject({code: 'store_failed'})
    expect(seen.told).toEqual([])
    await party.close()
    expect(party.endFields()).toEqual({participants: ['joe']})
  })

  test('types as a peer only; the others have keys to leave by, and a moderator one to end it', async () => {
    const {party, seen} = host()
    await party.open(start)
    const observer = joiner('ann', 'observer')
    const moderator = joiner('mod', 'moderator')
    const [watching, moderating] = [await party.join(observer), await party.join(moderator)]
    watching.input(Buffer.from('t rm -rf / \r'))
    watching.input(Buffer.from('t'))
    moderating.input(Buffer.from('some text that was pasted\r'))
    expect(seen).toMatchObject({typed: '', ended: []})
    watching.input(Buffer.from('\u0003'))
    expect(observer.seat.closed).toBe(true)
    moderating.input(Buffer.from('t'))
    expect(seen.ended).toMatchObject([{code: 'cancelled', message: 'mod has ended this session'}])
    party.end('ann', 'again')
    expect(seen.ended).toHaveLength(1)
    expect(party.endFields()).toEqual({participants: ['joe', 'ann', 'mod'], ended_by: 'mod'})
  })

  test('as the session ends has been there, or has not', async () => {
    const {auth, party} = host()
    await party.open(start)
    let open = (): void => undefined
    auth.gate = new Promise(resolve => {
      open = resolve
    })
    const joining = party.join(joiner('ann', 'observer'))
    const over = party.disperse()
    open()
    await expect(joining).rejects.toMatchObject({code: 'not_found'})
    await over
    expect(auth.events.map(({event}) => event)).toEqual(['session.join', 'session.leave'])
    expect(party.endFields()).toEqual({participants: ['joe', 'ann']})
  })

  test('is one of 32 at most', async () => {
    const {party} = host()
    await party.open(start)
    for (let n = 0; n < 32; n++) await party.join(joiner(`user-${n}`, 'observer'))
    await expect(party.join(joiner('ann', 'observer'))).rejects.toMatchObject({code: 'limit_exceeded'})
  })

  test('at one moment with others is one of 32 at most, too', async () => {
    const {party} = host()
    await party.open(start)
    const all = Array.from({length: 40}, (_, n) => party.join(joiner(`user-${n}`, 'observer')))
    const results = await Promise.allSettled(all)
    expect(results.filter(({status}) => status === 'fulfilled')).toHaveLength(32)
  })

  test('is shown out at the end, and that is on record before the end', async () => {
    const {auth, party} = host()
    const {record: plain} = record(auth, {endFields: party.endFields})
    const hosted = hostedRecord(plain, party)
    await hosted.begin(start)
    const one = joiner('ann', 'observer')
    await party.join(one)
    await hosted.finish({code: 0}, 0)
    const names = auth.events.map(({event}) => event)
    expect(names.indexOf('session.leave')).toBeLessThan(names.indexOf('session.end'))
    expect(auth.named('session.end')[0]?.fields).toMatchObject({participants: ['joe', 'ann']})
    expect(one.seat).toMatchObject({closed: true, told: expect.arrayContaining(['the session has ended'])})
    expect(auth.trackers.size).toBe(0)
  })

  test('sees what a strict session put out when its user does, and nothing that is in no recording', async () => {
    const {auth, party} = host()
    const shown: string[] = []
    const output = (bytes: Buffer) => {
      shown.push(`shown ${bytes}`)
      return undefined
    }
    const {record: plain, failures} = record(auth, {mode: 'strict'})
    const hosted = hostedRecord(plain, {...party, output})
    await hosted.begin(start)
    const stdout = hosted.withhold?.('stdout', lent => void shown.push(`delivered ${lent}`))
    const give = (text: string) => {
      const chunk = Buffer.from(text)
      return stdout?.output(chunk, chunk)
    }
    give('on record')
    expect(shown).toEqual([])
    await expect.poll(() => shown).toEqual(['shown on record', 'delivered on record'])
    auth.storeBroken = true
    give('in no recording')
    await expect.poll(() => failures.length).toBe(1)
    await stdout?.flush()
    expect(shown).toHaveLength(2)
    await hosted.finish(undefined, 0)
  })

  test('holds a strict session back that was paused while its output waited', async () => {
    const {auth, party} = host({oversight: [[requirement({onLeave: 'pause'})]]})
    const {record: plain} = record(auth, {mode: 'strict'})
    const hosted = hostedRecord(plain, party)
    const beginning = hosted.begin(start)
    await expect.poll(() => auth.trackers.size).toBe(1)
    const guest = await party.join(joiner('ann', 'moderator'))
    await beginning
    let delivered = 0
    const stdout = hosted.withhold?.('stdout', lent => {
      delivered += lent.length
    })
    const chunk = Buffer.from('x')
    expect(stdout?.output(chunk, chunk)).toBeUndefined()
    await guest.leave()
    await expect.poll(() => delivered).toBe(1)
    const hold = stdout?.output(chunk, chunk)
    expect(hold).toBeInstanceOf(Promise)
    await party.join(joiner('ann', 'moderator'))
    await hold
    await hosted.finish(undefined, 0)
  })
})
