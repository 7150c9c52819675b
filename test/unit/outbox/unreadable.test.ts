import type {FileHandle} from 'node:fs/promises'
import {beforeEach, describe, expect, it, vi} from 'vitest'
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

/** A disk that gives an input/output error for some files, from some byte on, for so many attempts. */
const disk = vi.hoisted(() => ({bad: '', from: 0, attempts: Number.POSITIVE_INFINITY, asked: 0}))

vi.mock('node:fs/promises', async original => {
  const real = await original<typeof import('node:fs/promises')>()
  const open: typeof real.open = async (path, ...rest) => {
    const handle: FileHandle = await real.open(path, ...rest)
    if (disk.bad === '' || !String(path).includes(disk.bad) || String(path).endsWith('.damaged'))
      return handle
    const read = handle.read.bind(handle) as (...given: unknown[]) => unknown
    const failing = (...given: unknown[]): unknown => {
      const end = Number(given[3]) + Number(given[2])
      if (end <= disk.from || disk.asked >= disk.attempts) return read(...given)
      disk.asked++
      return Promise.reject(Object.assign(new Error('EIO: i/o error, read'), {code: 'EIO', errno: -5}))
    }
    return Object.assign(handle, {read: failing})
  }
  return {...real, open}
})

let directory: string
let auth: FakeAuth

beforeEach(async () => {
  Object.assign(disk, {bad: '', from: 0, attempts: Number.POSITIVE_INFINITY, asked: 0})
  ;({directory, auth} = await openPlace())
})

/** As a process left it that is gone. */
async function kept(...sessions: ReturnType<typeof session>[]): Promise<void> {
  auth.fault = away
  const outbox = await openOutbox({directory, auth})
  for (const one of sessions) await play(outbox, one)
  await outbox.close(0)
  auth.fault = () => undefined
}

const damage = () => auth.trail().filter(({event}) => event === 'spool.damaged')

describe('a file that the disk does not give', () => {
  it('is tried ten times, and then set aside, on record and in the log; no other one waits for it', async () => {
    const [bad, good] = [session(), session()]
    await kept(bad, good)
    disk.bad = `${bad.sid}.00000001`
    const outbox = await openOutbox({directory, auth})
    await eventually(() => auth.of(good.sid).length === wholeTrail.length)
    await eventually(() => damage().length === 1)
    await delivered(outbox)
    expect(auth.of(good.sid)).toEqual(wholeTrail)
    expect(damage()).toMatchObject([
      {sid: bad.sid, success: false, error: 'it cannot be read: i/o error', good: 0},
    ])
    await eventually(() => spoolFiles(directory).length === 1)
    expect(spoolFiles(directory)).toEqual([`${bad.sid}.00000001.spool.damaged`])
    expect(outbox.logged.filter(line => line.includes('cannot be read'))).toHaveLength(2)
    expect(disk.asked).toBeGreaterThanOrEqual(10)
    const asked = disk.asked
    await outbox.emit({event: 'port', user: 'later'})
    await delivered(outbox)
    expect(disk.asked).toBe(asked)
  })

  it('is delivered where it is given after all', async () => {
    const one = session()
    await kept(one)
    Object.assign(disk, {bad: `${one.sid}.00000001`, attempts: 9})
    const outbox = await openOutbox({directory, auth})
    await eventually(() => auth.of(one.sid).length === wholeTrail.length)
    await delivered(outbox)
    expect(disk.asked).toBe(9)
    expect(auth.of(one.sid)).toEqual(wholeTrail)
    expect(damage()).toEqual([])
  })

  it('past a good part is delivered up to there, and the session gets its end', async () => {
    const one = session(6, i => `line ${i} ${Array.from({length: 9000}, () => Math.random()).join()}`)
    await kept(one)
    Object.assign(disk, {bad: `${one.sid}.00000001`, from: 300 * 1024})
    const outbox = await openOutbox({directory, auth})
    await eventually(() => damage().length === 1)
    await delivered(outbox)
    expect(auth.of(one.sid).sort()).toEqual([
      'session.end',
      'session.start',
      'session.upload',
      'spool.damaged',
    ])
    expect(await recorded(auth, one.sid)).toMatchObject({state: 'truncated'})
    await eventually(() => spoolFiles(directory).length === 1)
  })

  it('while its session runs costs the session its recording, and says nothing of the connection', async () => {
    const [bad, good] = [session(), session()]
    auth.fault = away
    const outbox = await openOutbox({directory, auth})
    await play(outbox, good)
    await outbox.beginRecording(bad.meta)
    await outbox.emit(bad.event('session.start'))
    disk.bad = `${bad.sid}.00000001`
    await eventually(() => damage().length === 1 || disk.asked >= 10)
    expect(outbox.logged.some(line => line.includes('is back'))).toBe(false)
    auth.fault = () => undefined
    await eventually(() => damage().length === 1)
    await eventually(() => auth.of(good.sid).length === wholeTrail.length)
    await expect(outbox.appendRecording(bad.sid, bad.chunks[0] as never)).rejects.toMatchObject({
      code: 'store_failed',
    })
  })
})

describe('the end that a session gets after a process that was killed', () => {
  it('has an event of each file that was open, and of no other', async () => {
    const one = session()
    const killed = await openOutbox({directory, auth})
    await killed.emit(one.event('session.start', {recorded: false}))
    const open = (transfer: number, protocol: string, direction: string) =>
      killed.emit(one.event('session.transfer.open', {protocol, direction, path: `/${transfer}`, transfer}))
    // One that does nothing else has neither start nor end.
    const alone = session()
    const moved = {protocol: 'sftp', direction: 'upload', path: '/x', transfer: 1}
    await killed.emit(alone.event('session.transfer.open', moved))
    await delivered(killed)
    await open(1, 'sftp', 'upload')
    await open(2, 'sftp', 'download')
    await open(3, 'scp', 'upload')
    await killed.emit(one.event('sftp.read', {path: '/2', complete: true, transfer: 2}))
    await killed.close(1000)
    const outbox = await openOutbox({directory, auth})
    await eventually(() => auth.of(one.sid).includes('session.end'))
    await eventually(() => auth.of(alone.sid).includes('sftp.write'))
    await delivered(outbox)
    expect(auth.of(alone.sid)).toEqual(['session.transfer.open', 'sftp.write'])
    await eventually(() => spoolFiles(directory).length === 0)
    const lost = auth.trail().filter(({success, sid}) => !success && sid === one.sid)
    const common = {
      ...{sid: one.sid, user: 'joe', login: 'root', direction: 'upload', complete: false},
      sha256_absent: 'not followed',
      error: 'the service ended before the session did: what became of the file is not known',
    }
    expect(lost).toMatchObject([
      {event: 'sftp.write', path: '/1', ...common},
      {event: 'scp.upload', path: '/3', ...common},
    ])
    expect(lost[0]).not.toHaveProperty('bytes')
    expect(auth.of(one.sid).at(-1)).toBe('session.end')
  })

  it('has room for itself, whatever the files are called', async () => {
    const one = session()
    const killed = await openOutbox({directory, auth})
    await killed.emit(one.event('session.start', {recorded: false}))
    const path = '\ufffd'.repeat(4096)
    for (let transfer = 1; transfer <= 40; transfer++)
      await killed.emit(one.event('session.transfer.open', {protocol: 'sftp', path, name: path, transfer}))
    await delivered(killed)
    // A file of its own begins with all that is known of the session.
    await killed.emit(one.event('exec', {command: 'x'.repeat(300_000)}))
    await delivered(killed)
    await killed.emit(one.event('port'))
    await killed.close(1000)
    const outbox = await openOutbox({directory, auth})
    await eventually(() => auth.of(one.sid).includes('session.end'))
    await delivered(outbox)
    expect(auth.of(one.sid).filter(event => event === 'sftp.read').length).toBeGreaterThan(2)
  })

  it('names those who had joined it', async () => {
    const one = session()
    const killed = await openOutbox({directory, auth})
    await killed.emit(one.event('session.start', {recorded: false}))
    for (const user of ['ann', 'joe', 'ann', 'bob'])
      await killed.emit({...one.event('session.join'), user, success: user !== 'bob'})
    await killed.close(1000)
    const outbox = await openOutbox({directory, auth})
    await eventually(() => auth.of(one.sid).includes('session.end'))
    await delivered(outbox)
    const end = auth.trail().find(({event}) => event === 'session.end')
    expect(end?.participants).toEqual(['joe', 'ann'])
  })
})
