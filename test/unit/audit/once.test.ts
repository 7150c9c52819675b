import {randomUUID} from 'node:crypto'
import {readdirSync, readFileSync} from 'node:fs'
import {join} from 'node:path'
import {beforeEach, describe, expect, it} from 'vitest'
import {type AuditLog, openAuditLog, verifyAuditLog} from '../../../src/lib/audit/index.js'
import {RECENT_UIDS} from '../../../src/lib/audit/recent-uids.js'
import {temporaryDirectory} from '../../support/temporary-directory.js'

const noon = Date.parse('2025-11-21T12:00:00.000Z')
const hour = 3_600_000
const day = 24 * hour

let directory: string
let clock: number

beforeEach(() => {
  directory = temporaryDirectory()
  clock = noon
})

const open = (): Promise<AuditLog> => openAuditLog({directory, clusterName: 'c1', now: () => clock})
const lines = (): {seq: number; uid: string; event: string}[] =>
  readdirSync(directory)
    .sort()
    .flatMap(name => readFileSync(join(directory, name), 'utf8').trimEnd().split('\n'))
    .map(line => JSON.parse(line))

describe('an event with a uid', () => {
  it('is on record once, however often it is told, and every teller is shown the record', async () => {
    const log = await open()
    const uid = randomUUID()
    const told = () => log.emit({event: 'exec', uid, sid: 'a', fields: {command: 'id'}})
    const [first, ...others] = await Promise.all([told(), told(), told()])
    await log.emit({event: 'resize', sid: 'a'})
    const later = await told()
    expect(first).toMatchObject({uid, seq: 1, command: 'id'})
    for (const other of [...others, later]) expect(other).toEqual(first)
    expect(lines().map(({event}) => event)).toEqual(['exec', 'resize'])
    await log.close()
  })

  it('is known again after a restart, also from the file of the day before', async () => {
    const uids = Array.from({length: 40}, () => randomUUID())
    const first = await open()
    for (const uid of uids.slice(0, 20)) await first.emit({event: 'resize', uid})
    clock += day
    for (const uid of uids.slice(20)) await first.emit({event: 'resize', uid})
    await first.close()
    const second = await open()
    const again = await Promise.all(uids.map(uid => second.emit({event: 'resize', uid})))
    expect(again.map(({seq}) => seq)).toEqual(uids.map((_, i) => i + 1))
    expect(lines()).toHaveLength(40)
    expect(await second.emit({event: 'resize', uid: randomUUID()})).toMatchObject({seq: 41})
    expect(await verifyAuditLog(directory)).toMatchObject({ok: true, records: 41})
    await second.close()
  })

  it('is known for as many records as the documentation says', async () => {
    const log = await open()
    const [old, recent] = [randomUUID(), randomUUID()]
    await log.emit({event: 'resize', uid: old})
    await log.emit({event: 'resize', uid: recent})
    const others = Array.from({length: RECENT_UIDS - 1}, () => log.emit({event: 'resize', uid: randomUUID()}))
    await Promise.all(others)
    expect(await log.emit({event: 'resize', uid: recent})).toMatchObject({seq: 2})
    expect(await log.emit({event: 'resize', uid: old})).toMatchObject({seq: RECENT_UIDS + 2})
    await log.close()
  }, 60_000)

  it.each(['', 'x', randomUUID().toUpperCase(), `${randomUUID()}"`])('is refused as %j', async uid => {
    const log = await open()
    await expect(log.emit({event: 'resize', uid})).rejects.toMatchObject({code: 'invalid_input'})
    await log.close()
  })
})

describe('an event that is told late', () => {
  it('has the time when it happened, and when it came; the chain has the order in which events came', async () => {
    const log = await open()
    await log.emit({event: 'user.login'})
    expect(await log.emit({event: 'exec', time: noon - hour})).toMatchObject({
      seq: 2,
      time: '2025-11-21T11:00:00.000Z',
      received: '2025-11-21T12:00:00.000Z',
    })
    expect(await log.emit({event: 'exec', time: noon - 30_000})).not.toHaveProperty('received')
    await log.close()
  })

  it('never happens in the future, nor at no time at all', async () => {
    const log = await open()
    expect(await log.emit({event: 'exec', time: noon + day})).toMatchObject({
      time: '2025-11-21T12:00:00.000Z',
    })
    for (const time of [Number.NaN, -1, 1e20, Number.POSITIVE_INFINITY])
      await expect(log.emit({event: 'exec', time})).rejects.toMatchObject({code: 'invalid_input'})
    expect(lines()).toHaveLength(1)
    await log.close()
  })

  it('is found by the time when it happened, days after which it came', async () => {
    const log = await open()
    await log.emit({event: 'user.login', user: 'before'})
    clock += 5 * day
    await log.emit({event: 'exec', user: 'late', time: noon + hour})
    await log.emit({event: 'exec', user: 'other', fields: {command: '"received":"'}})
    for (const order of ['newest', 'oldest'] as const) {
      const found = await log.query({from: new Date(noon), to: new Date(noon + day), order})
      expect(found.map(({user}) => user).sort()).toEqual(['before', 'late'])
    }
    expect(await log.query({from: new Date(noon + 4 * day), to: new Date(noon + 6 * day)})).toMatchObject([
      {user: 'other'},
    ])
    await log.close()
  })

  it('cannot be given a time of coming by its emitter', async () => {
    const log = await open()
    const event = await log.emit({event: 'exec', fields: {received: 'yesterday', reported_by: 'me'}})
    expect(event).not.toHaveProperty('received')
    expect(event).not.toHaveProperty('reported_by')
    await log.close()
  })
})
