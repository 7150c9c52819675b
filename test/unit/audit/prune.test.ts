import {generateKeyPairSync, sign as signBytes} from 'node:crypto'
import {copyFileSync, readdirSync, readFileSync, rmSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {beforeEach, describe, expect, it} from 'vitest'
import {type AuditLog, makeCheckpoint, openAuditLog, verifyAuditLog} from '../../../src/lib/audit/index.js'
import {atEnd} from '../../support/cleanup.js'
import {temporaryDirectory} from '../../support/temporary-directory.js'

const DAY = 86_400_000
const start = Date.parse('2025-11-01T12:00:00Z')
const keys = generateKeyPairSync('ed25519')
const sign = (message: Buffer): string => signBytes(null, message, keys.privateKey).toString('base64')

let directory: string
let time: number
let log: AuditLog

/** Ten days of two records each. */
beforeEach(async () => {
  directory = temporaryDirectory()
  time = start
  log = await open()
  for (let day = 0; day < 10; day += 1) {
    time = start + day * DAY
    await log.emit({event: 'user.create', user: `user${day}`})
    await log.emit({event: 'user.delete', user: `user${day}`})
  }
})

async function open(): Promise<AuditLog> {
  const opened = await openAuditLog({directory, clusterName: 'c1', now: () => time})
  atEnd(opened.close)
  return opened
}

const files = () =>
  readdirSync(directory)
    .filter(name => name.startsWith('events-'))
    .sort()
const days = () => files().map(name => name.slice(-16, -6))
const prune = (keep: number) => log.prune({before: time - keep, sign})
const verify = (checkpoint?: {sequence: number; hash: string}, by = [keys.publicKey]) =>
  verifyAuditLog(directory, checkpoint, by)

describe('pruning the log', () => {
  it('takes whole files away that are older, on record, and the rest verifies by a signed anchor', async () => {
    time = start + 10 * DAY
    expect(await prune(5 * DAY)).toBe(5)
    expect(days()[0]).toBe('2025-11-06')
    const [event] = await log.query({event: ['audit.pruned']})
    expect(event).toMatchObject({code: 'TAL01I', through: 10, from_day: '2025-11-01', to_day: '2025-11-05'})
    const head = log.head()
    expect(await verify(head)).toMatchObject({
      ...{ok: true, records: 11, head, checkpoint: 'found'},
      pruned: {sequence: 10, hash: event?.sha256, time: new Date(time).toISOString(), signature: 'verified'},
    })
    expect((await log.query({order: 'oldest', limit: 1}))[0]).toMatchObject({seq: 11, user: 'user5'})
    expect(await prune(5 * DAY)).toBe(0)
  })

  it('goes on from there: after a restart, and when it is pruned again', async () => {
    await prune(5 * DAY)
    await log.close()
    log = await open()
    expect(await log.emit({event: 'user.create', user: 'new'})).toMatchObject({seq: 22})
    time += 3 * DAY
    expect(await prune(5 * DAY)).toBeGreaterThan(0)
    expect(await verify(log.head())).toMatchObject({ok: true, checkpoint: 'found'})
    expect(await log.query({event: ['audit.pruned']})).toHaveLength(2)
  })

  it('never takes the file that is written to, and nothing that is young enough', async () => {
    expect(await prune(30 * DAY)).toBe(0)
    expect(await log.query({event: ['audit.pruned']})).toEqual([])
    time += 100 * DAY
    await prune(DAY)
    expect(files()).toHaveLength(2)
    expect(await verify(log.head())).toMatchObject({ok: true})
  })

  it('is finished by the next time where it was cut off, and verifies before that', async () => {
    const kept = temporaryDirectory()
    const before = files()
    for (const name of before) copyFileSync(join(directory, name), join(kept, name))
    await prune(5 * DAY)
    const gone = before.filter(name => !files().includes(name))
    expect(gone.length).toBeGreaterThan(2)
    for (const name of gone.slice(1)) copyFileSync(join(kept, name), join(directory, name))
    expect(await verify(log.head())).toMatchObject({ok: true, checkpoint: 'found'})
    expect(await prune(5 * DAY)).toBe(gone.length - 1)
    expect(files()).not.toEqual(expect.arrayContaining(gone.slice(1)))
  })

  it('does not cut where the chain does not hold: what is wrong there stays to be seen', async () => {
    const [, , , fourth = ''] = files()
    const path = join(directory, fourth)
    writeFileSync(path, readFileSync(path, 'utf8').replace('"user.delete"', '"user.update"'))
    await expect(log.prune({before: start + 4 * DAY + DAY / 2, sign})).rejects.toMatchObject({
      code: 'audit_corrupt',
    })
    expect(files()).toContain(fourth)
    expect(readdirSync(directory)).not.toContain('pruned.json')
    expect(await verify()).toMatchObject({ok: false})
  })

  it('does not happen where it cannot be put on record', async () => {
    await log.close()
    await expect(prune(5 * DAY)).rejects.toMatchObject({code: 'unavailable'})
    expect(files()).toHaveLength(10)
  })

  it('is not believed of whoever took files away without the key', async () => {
    const stranger = generateKeyPairSync('ed25519')
    const checkpoint = {...log.head()}
    const early = {sequence: 4, hash: '0'.repeat(64)}
    await log.prune({
      before: time - 5 * DAY,
      sign: message => signBytes(null, message, stranger.privateKey).toString('base64'),
    })
    expect(await verify(checkpoint)).toMatchObject({
      ok: false,
      bad: {reason: expect.stringContaining('not signed')},
    })
    expect(await verifyAuditLog(directory, checkpoint)).toMatchObject({
      ...{ok: true, pruned: {signature: 'unchecked'}},
    })
    expect(await verifyAuditLog(directory, early)).toMatchObject({ok: true, checkpoint: 'pruned'})
    rmSync(join(directory, 'pruned.json'))
    expect(await verify()).toMatchObject({ok: false, bad: {record: 1}})
    writeFileSync(join(directory, 'pruned.json'), '{"format":"sallyport-audit-checkpoint"}')
    expect(await verify()).toMatchObject({
      ok: false,
      bad: {reason: expect.stringContaining('cannot be read')},
    })
  })

  it('cannot be made to look so by a checkpoint, which another line begins', async () => {
    const [, second = ''] = files()
    const link = JSON.parse(readFileSync(join(directory, second), 'utf8').split('\n')[0] ?? '')
    const facts = {cluster: 'c1', sequence: link.seq - 1, hash: link.prev, time: new Date(time).toISOString()}
    const {format: _, ...checkpoint} = makeCheckpoint(facts, sign)
    rmSync(join(directory, files()[0] ?? ''))
    writeFileSync(
      join(directory, 'pruned.json'),
      JSON.stringify({format: 'sallyport-audit-anchor', ...checkpoint}),
    )
    expect(await verify()).toMatchObject({ok: false, bad: {reason: expect.stringContaining('not signed')}})
  })
})
