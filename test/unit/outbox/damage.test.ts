import {readFileSync, statSync, truncateSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import fc from 'fast-check'
import {beforeEach, describe, expect, it} from 'vitest'
import {encodeFrame, seed} from '../../../src/lib/outbox/frames.js'
import {decodeRecord, encodeRecord} from '../../../src/lib/outbox/records.js'
import {scanLane} from '../../../src/lib/outbox/scan.js'
import {eventually} from '../../support/eventually.js'
import {temporaryDirectory} from '../../support/temporary-directory.js'
import {
  away,
  delivered,
  type FakeAuth,
  openOutbox,
  openPlace,
  play,
  recorded,
  type Session,
  session,
  spoolFiles,
  type TestOutbox,
  wholeTrail,
} from './fixture.js'

let directory: string
let auth: FakeAuth

beforeEach(async () => {
  ;({directory, auth} = await openPlace())
})

/** Sessions that were kept while auth was away, by a process that is gone. */
async function kept(...sessions: Session[]): Promise<void> {
  auth.fault = away
  const outbox = await openOutbox({directory, auth})
  for (const one of sessions) await play(outbox, one)
  await outbox.emit({event: 'port', user: 'first'})
  await outbox.emit({event: 'port', user: 'second'})
  await outbox.close(0)
  auth.fault = () => undefined
}

async function reopened(): Promise<TestOutbox> {
  const outbox = await openOutbox({directory, auth})
  await delivered(outbox)
  return outbox
}

const fileOf = (lane: string, number = 1): string =>
  join(directory, `${lane}.${String(number).padStart(8, '0')}.spool`)

function flip(file: string, at: number): void {
  const bytes = readFileSync(file)
  bytes[at] = (bytes[at] ?? 0) ^ 1
  writeFileSync(file, bytes)
}

it('a file that was made and not written yet when the process ended is cleared away', async () => {
  const one = session()
  await kept(one)
  writeFileSync(fileOf(session().sid), '')
  writeFileSync(fileOf(one.sid, 2), '')
  await reopened()
  await eventually(() => spoolFiles(directory).length === 0)
  expect(auth.trail().filter(({event}) => event === 'spool.damaged')).toEqual([])
})

describe('a damaged file', () => {
  it('holds no other one up: its good part is delivered, it is set aside, and that is on record', async () => {
    const [bad, good] = [session(6), session()]
    await kept(bad, good)
    const {size} = statSync(fileOf(bad.sid))
    // In the middle of the fourth chunk or so.
    flip(fileOf(bad.sid), Math.floor(size / 2))
    const outbox = await reopened()
    expect(auth.of(good.sid)).toEqual(wholeTrail)
    expect(await recorded(auth, good.sid)).toMatchObject({state: 'sealed'})
    expect(auth.of(bad.sid).sort()).toEqual([
      'session.end',
      'session.start',
      'session.upload',
      'spool.damaged',
    ])
    const {state, lines} = await recorded(auth, bad.sid)
    expect(state).toBe('truncated')
    expect(lines.length).toBeGreaterThan(0)
    expect(lines).toEqual(['line 1', 'line 2', 'line 3', 'line 4'].slice(0, lines.length))
    const end = auth.trail().find(({event, sid}) => event === 'session.end' && sid === bad.sid)
    expect(end).toMatchObject({truncated: true, reason: expect.stringContaining('damaged')})
    expect(auth.trail().find(({event}) => event === 'spool.damaged')).toMatchObject({
      ...{
        code: 'TSP00W',
        success: false,
        sid: bad.sid,
        kept: `${bad.sid}.00000001.spool.damaged`,
        bytes: size,
      },
    })
    await eventually(() => spoolFiles(directory).length === 1)
    expect(spoolFiles(directory)).toEqual([`${bad.sid}.00000001.spool.damaged`])
    expect(statSync(join(directory, spoolFiles(directory)[0] ?? '')).size).toBe(size)
    const again = auth.trail().length
    await outbox.close(100)
    await reopened()
    expect(auth.trail()).toHaveLength(again)
  })

  it('of no session is set aside as well', async () => {
    await kept()
    flip(fileOf('host'), statSync(fileOf('host')).size - 3)
    await reopened()
    expect(auth.trail().map(({event, user}) => user ?? event)).toEqual(['first', 'spool.damaged'])
  })

  it('of which nothing is good leaves the session to auth, which closes what it has', async () => {
    const one = session(4)
    const outbox = await openOutbox({directory, auth})
    await outbox.beginRecording(one.meta)
    for (const chunk of one.chunks.slice(0, 3)) await outbox.appendRecording(one.sid, chunk)
    await outbox.emit(one.event('session.start'))
    await delivered(outbox)
    await outbox.close(100)
    flip(fileOf(one.sid), 50)
    await reopened()
    expect(await recorded(auth, one.sid)).toMatchObject({state: 'truncated', lines: ['line 1', 'line 2']})
    expect(auth.of(one.sid)).toEqual(['session.start', 'spool.damaged'])
  })

  it('that is met while its session runs ends the recording, and the session gets one end', async () => {
    const one = session(6)
    auth.fault = away
    const outbox = await openOutbox({directory, auth})
    await outbox.beginRecording(one.meta)
    await outbox.appendRecording(one.sid, one.chunks[0] as never)
    await outbox.emit(one.event('session.start'))
    const {size} = statSync(fileOf(one.sid))
    for (const chunk of one.chunks.slice(1, 4)) await outbox.appendRecording(one.sid, chunk)
    flip(fileOf(one.sid), size + 60)
    auth.fault = () => undefined
    await eventually(() => auth.of(one.sid).includes('spool.damaged'))
    await expect(outbox.appendRecording(one.sid, one.chunks[4] as never)).rejects.toMatchObject({
      code: 'store_failed',
    })
    await outbox.emit(one.event('session.end', {recorded: false}))
    await delivered(outbox)
    expect(auth.of(one.sid).sort()).toEqual([
      'session.end',
      'session.start',
      'session.upload',
      'spool.damaged',
    ])
    expect(await recorded(auth, one.sid)).toMatchObject({state: 'truncated', lines: []})
  })

  it('in another one’s place is not taken for it', async () => {
    const [one, other] = [session(), session()]
    await kept(one, other)
    writeFileSync(fileOf(one.sid), readFileSync(fileOf(other.sid)))
    await reopened()
    expect(auth.of(other.sid)).toEqual(wholeTrail)
    expect(auth.of(one.sid)).toEqual(['spool.damaged'])
  })

  it('cut off within a record is what a crash leaves: the part is dropped, and the session completed', async () => {
    const one = session(4)
    await kept(one)
    truncateSync(fileOf(one.sid), statSync(fileOf(one.sid)).size - 5)
    await reopened()
    expect(auth.of(one.sid)).toEqual(['session.start', 'session.upload', 'session.data', 'session.end'])
    expect(spoolFiles(directory).filter(name => name.endsWith('.damaged'))).toEqual([])
  })

  it('that is missing between two is noticed', async () => {
    auth.fault = away
    const big = session(7, () => Math.random().toString(36).repeat(100))
    const outbox = await openOutbox({directory, auth})
    await outbox.beginRecording(big.meta)
    await outbox.emit(big.event('session.start'))
    for (const chunk of big.chunks)
      await outbox.appendRecording(big.sid, {
        ...chunk,
        data: Buffer.concat([chunk.data, Buffer.alloc(2 ** 20)]),
      })
    await outbox.close(0)
    expect(spoolFiles(directory)).toHaveLength(2)
    truncateSync(fileOf(big.sid, 1), statSync(fileOf(big.sid, 1)).size - (2 ** 20 + 400))
    const scan = await scanLane(directory, big.sid, [1, 2])
    expect(scan.damage).toHaveLength(2)
  })
})

describe('whatever is in a file', () => {
  it('a byte changed anywhere is found, and what is before it is kept', async () => {
    const one = session(3)
    await kept(one)
    const whole = readFileSync(fileOf(one.sid))
    await fc.assert(
      fc.asyncProperty(fc.nat(whole.length - 1), fc.integer({min: 1, max: 255}), async (at, change) => {
        const bytes = Buffer.from(whole)
        bytes[at] = (bytes[at] ?? 0) ^ change
        const place = join(temporaryDirectory(), 'x')
        const {mkdirSync} = await import('node:fs')
        mkdirSync(place)
        writeFileSync(join(place, `${one.sid}.00000001.spool`), bytes)
        const scan = await scanLane(place, one.sid, [1])
        expect(scan.damage).toHaveLength(1)
        expect(scan.damage[0]?.good).toBeLessThanOrEqual(at)
      }),
      {numRuns: 60},
    )
  })

  it('neither bytes nor records of others make it fall over', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.oneof(
          fc.uint8Array({maxLength: 400}),
          fc.json().map(text => Buffer.from(`\u0000${text}`)),
        ),
        async bytes => {
          const place = temporaryDirectory()
          const body = Buffer.from(bytes)
          decodeRecord(body)
          const frame = body.length > 0 ? encodeFrame(seed('host', 1), body).bytes : body
          writeFileSync(join(place, 'host.00000001.spool'), frame)
          const {segments, damage, tail} = await scanLane(place, 'host', [1])
          expect(segments.length === 0 || damage.length === 1 || tail !== undefined).toBe(true)
        },
      ),
      {numRuns: 150},
    )
  })

  it('records come back as they were', () => {
    const one = session(2)
    const chunk = {kind: 'chunk', chunk: one.chunks[1] as never} as const
    for (const record of [
      chunk,
      {kind: 'begin', meta: one.meta},
      {kind: 'seal', end: one.end},
      {kind: 'event', input: {...one.event('exec', {command: 'a\nb'}), uid: 'u', time: 5}},
      {kind: 'sent', sent: {steps: 7, events: 3}},
    ] as const)
      expect(decodeRecord(encodeRecord(record))).toEqual(record)
  })

  it('an event that is too large is refused at once', async () => {
    const outbox = await openOutbox({directory, auth})
    const fields = {command: 'x'.repeat(600_000)}
    await expect(outbox.emit({event: 'exec', fields})).rejects.toMatchObject({code: 'invalid_input'})
    await outbox.emit({event: 'exec', fields: {command: 'id'}})
    await delivered(outbox)
    expect(auth.trail()).toHaveLength(1)
  })
})
