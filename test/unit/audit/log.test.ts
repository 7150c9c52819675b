import {createHash} from 'node:crypto'
import {appendFileSync, readdirSync, readFileSync, statSync, truncateSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {beforeEach, describe, expect, it} from 'vitest'
import {type AuditLog, type EventName, openAuditLog, verifyAuditLog} from '../../../src/lib/audit/index.js'
import {atEnd} from '../../support/cleanup.js'
import {temporaryDirectory} from '../../support/temporary-directory.js'

let directory: string
let time: number

beforeEach(() => {
  directory = temporaryDirectory()
  time = Date.parse('2025-11-21T12:00:00.000Z')
})

async function open(): Promise<AuditLog> {
  let id = 0
  const log = await openAuditLog({directory, clusterName: 'c1', now: () => time, uuid: () => `uid-${++id}`})
  atEnd(() => log.close())
  return log
}

const files = () =>
  readdirSync(directory)
    .filter(name => name.endsWith('.jsonl'))
    .sort()
const lines = () => files().flatMap(name => readFileSync(join(directory, name), 'utf8').trimEnd().split('\n'))
const lastFile = () => join(directory, files().at(-1) ?? '')

async function write(log: AuditLog, count: number, event: EventName = 'user.login'): Promise<void> {
  await Promise.all(Array.from({length: count}, (_, i) => log.emit({event, user: `user${i}`})))
}

describe('emitting', () => {
  it('adds what the log knows and keeps what the emitter said', async () => {
    const log = await open()
    const event = await log.emit({
      event: 'user.login',
      success: false,
      error: 'wrong password',
      user: 'joe',
      'addr.remote': '10.0.0.1:5',
      fields: {method: 'local'},
    })
    expect(event).toEqual({
      seq: 1,
      prev: '0'.repeat(64),
      ei: 0,
      event: 'user.login',
      uid: 'uid-1',
      code: 'T1000W',
      time: '2025-11-21T12:00:00.000Z',
      cluster_name: 'c1',
      success: false,
      error: 'wrong password',
      user: 'joe',
      'addr.remote': '10.0.0.1:5',
      method: 'local',
    })
    expect(JSON.parse(lines()[0] ?? '')).toEqual(event)
  })

  it('uses the one code of an event that can only fail, and says so', async () => {
    const log = await open()
    expect(await log.emit({event: 'session.rejected'})).toMatchObject({code: 'T1006W', success: false})
    expect(await log.emit({event: 'user.create'})).toMatchObject({code: 'T1002I', success: true})
  })

  it('chains every record to the bytes of the one before, also when many are emitted at once', async () => {
    const log = await open()
    await write(log, 600)
    const all = lines()
    expect(all).toHaveLength(600)
    let prev = '0'.repeat(64)
    all.forEach((line, i) => {
      expect(JSON.parse(line)).toMatchObject({seq: i + 1, prev, user: `user${i}`})
      prev = createHash('sha256').update(line).digest('hex')
    })
    expect(log.head()).toEqual({sequence: 600, hash: prev})
  })

  it('counts the events of each session by itself', async () => {
    const log = await open()
    const index = async (sid: string) => (await log.emit({event: 'resize', sid})).ei
    expect(await index('a')).toBe(0)
    expect(await index('b')).toBe(0)
    expect(await Promise.all([index('a'), index('a'), index('b')])).toEqual([1, 2, 1])
    expect((await log.emit({event: 'user.create'})).ei).toBe(0)
  })

  it('goes on counting and chaining after a restart', async () => {
    const first = await open()
    await first.emit({event: 'session.start', sid: 'a'})
    await first.emit({event: 'resize', sid: 'a'})
    await first.close()
    const second = await open()
    expect(await second.emit({event: 'session.end', sid: 'a'})).toMatchObject({seq: 3, ei: 2})
    expect(await verifyAuditLog(directory)).toMatchObject({ok: true, records: 3})
  })

  it('never lets a field of one event replace a common one', async () => {
    const log = await open()
    const event = await log.emit({
      event: 'exec',
      user: 'joe',
      fields: {user: 'root', seq: 99, code: 'X', prev: '', command: 'id'},
    })
    expect(event).toMatchObject({user: 'joe', seq: 1, code: 'T3002I', command: 'id'})
  })

  it('cuts what is too long, too deep or too many, and still writes one record', async () => {
    const log = await open()
    const deep = {a: {b: {c: {d: {e: {f: 1}}}}}}
    const event = await log.emit({
      event: 'exec',
      user: 'x'.repeat(1_000_000),
      fields: {
        command: 'y'.repeat(1_000_000),
        list: Array(1000).fill(1),
        deep,
        big: 2n,
        none: undefined,
        line: 'a\nb',
      },
    })
    expect(event.user).toHaveLength(4096 + '… (995904 more characters)'.length)
    expect(event.list).toHaveLength(65)
    expect(event).toMatchObject({big: '2', line: 'a\nb'})
    expect(statSync(lastFile()).size).toBeLessThan(20_000)
    const wide = Object.fromEntries(Array.from({length: 60}, (_, i) => [`k${i}`, 'z'.repeat(4000)]))
    expect(await log.emit({event: 'exec', fields: wide})).toMatchObject({
      fields_dropped: expect.stringContaining('60'),
    })
    expect(lines()).toHaveLength(2)
  })

  it('bears no record that could not be read again, whatever the common fields are', async () => {
    const log = await open()
    const long = '\u0001'.repeat(5000)
    const common = {user: long, login: long, error: long, server_addr: long, 'addr.remote': long, sid: long}
    const server_labels = Object.fromEntries(Array.from({length: 64}, (_, i) => [`${i}${long}`, long]))
    await log.emit({event: 'exec', ...common, server_labels, server_hostname: long, forwarded_by: long})
    expect(lines()[0]?.length).toBeLessThan(64 * 1024)
    await log.close()
    expect(await (await open()).emit({event: 'user.create'})).toMatchObject({seq: 2})
    expect(await verifyAuditLog(directory)).toMatchObject({ok: true, records: 2})
  })

  it('begins a file for each UTC day and chains across files', async () => {
    const log = await open()
    await write(log, 2)
    time = Date.parse('2025-11-22T00:00:00.000Z')
    await write(log, 2)
    expect(files()).toEqual(['events-000000000001-2025-11-21.jsonl', 'events-000000000003-2025-11-22.jsonl'])
    expect(await verifyAuditLog(directory)).toMatchObject({ok: true, records: 4})
  })

  it('keeps the log readable by its owner alone', async () => {
    await write(await open(), 1)
    expect(statSync(lastFile()).mode & 0o777).toBe(0o600)
    expect(statSync(directory).mode & 0o777).toBe(0o700)
  })

  it('rejects after close', async () => {
    const log = await open()
    await log.close()
    await expect(log.emit({event: 'user.create'})).rejects.toMatchObject({code: 'unavailable'})
  })
})

describe('after a crash', () => {
  it('cuts a torn record off wherever it was torn, notes it, and the chain holds', async () => {
    const first = await open()
    await write(first, 3)
    await first.close()
    const whole = readFileSync(lastFile())
    const start = whole.lastIndexOf(0x0a, whole.length - 2) + 1
    for (const cut of [start + 1, start + 40, whole.length - 1]) {
      writeFileSync(lastFile(), whole.subarray(0, cut))
      const log = await open()
      const [event] = await log.query({event: ['audit.recovered']})
      expect(event).toMatchObject({seq: 3, code: 'TAL00W', bytes: cut - start})
      expect(readFileSync(join(directory, String(event?.kept)))).toEqual(whole.subarray(start, cut))
      expect(await verifyAuditLog(directory)).toMatchObject({ok: true, records: 3})
      await log.close()
    }
  })

  it('cuts off blocks of zeros, and goes on in the same file', async () => {
    const first = await open()
    await write(first, 1)
    await first.close()
    appendFileSync(lastFile(), Buffer.concat([Buffer.alloc(5000), Buffer.from('\n')]))
    const log = await open()
    await write(log, 1)
    expect(await verifyAuditLog(directory)).toMatchObject({ok: true, records: 3})
    expect(files()).toHaveLength(1)
  })

  it('finds the end of the chain in an older file when the newest holds no whole record', async () => {
    const first = await open()
    await write(first, 2)
    await first.close()
    writeFileSync(join(directory, 'events-000000000003-2025-11-22.jsonl'), '{"seq":3,"pre')
    time = Date.parse('2025-11-22T01:00:00.000Z')
    const log = await open()
    await write(log, 1)
    expect(await verifyAuditLog(directory)).toMatchObject({ok: true, records: 4})
  })

  it('refuses to start on a file that is damaged beyond what a crash leaves', async () => {
    writeFileSync(join(directory, 'events-000000000001-2025-11-21.jsonl'), Buffer.alloc(5 * 1024 * 1024))
    await expect(open()).rejects.toMatchObject({code: 'audit_corrupt'})
  })
})

describe('a query', () => {
  it('gives the newest first, across files, up to the limit', async () => {
    const log = await open()
    await write(log, 3)
    time += 86_400_000
    await write(log, 3)
    const seqs = async (query: Parameters<AuditLog['query']>[0]) =>
      (await log.query(query)).map(event => event.seq)
    expect(await seqs({})).toEqual([6, 5, 4, 3, 2, 1])
    expect(await seqs({limit: 4})).toEqual([6, 5, 4, 3])
    expect(await seqs({user: 'user1'})).toEqual([5, 2])
    expect(await seqs({from: new Date(time)})).toEqual([6, 5, 4])
    expect(await seqs({to: new Date(time)})).toEqual([3, 2, 1])
    expect(await seqs({event: ['user.create']})).toEqual([])
    expect(await seqs({limit: 0})).toEqual([])
  })

  it('finds the events of one session', async () => {
    const log = await open()
    for (const sid of ['s1', 's2', 's1']) await log.emit({event: 'resize', sid})
    expect((await log.query({sid: 's1'})).map(({ei}) => ei)).toEqual([1, 0])
  })

  it('reads across its blocks', async () => {
    const log = await open()
    await Promise.all(
      Array.from({length: 300}, (_, i) =>
        log.emit({event: 'exec', fields: {command: `${i}-${'x'.repeat(3000)}`}}),
      ),
    )
    const found = await log.query({limit: 1000})
    expect(found.map(event => event.seq)).toEqual(Array.from({length: 300}, (_, i) => 300 - i))
  })

  it('leaves a damaged line out, reports it, and gives the others', async () => {
    const log = await open()
    await write(log, 3)
    const text = readFileSync(lastFile(), 'utf8').split('\n')
    await log.close()
    writeFileSync(lastFile(), [text[0], '#'.repeat(text[1]?.length ?? 0), text[2], ''].join('\n'))
    const damage: string[] = []
    const again = await openAuditLog({directory, clusterName: 'c1', onDamage: file => damage.push(file)})
    atEnd(() => again.close())
    expect((await again.query({event: ['user.login']})).map(event => event.seq)).toEqual([3, 1])
    expect(damage).toEqual(files().slice(0, 1))
  })
})

describe('verifying', () => {
  async function prepared(): Promise<{head: {sequence: number; hash: string}; lines: string[]}> {
    const log = await open()
    await write(log, 6)
    const head = log.head()
    await log.close()
    return {head, lines: lines()}
  }
  const store = (text: string[]) => writeFileSync(lastFile(), `${text.join('\n')}\n`)

  it('accepts an empty log and an untouched one', async () => {
    expect(await verifyAuditLog(directory)).toMatchObject({ok: true, records: 0})
    const {head} = await prepared()
    expect(await verifyAuditLog(directory, head)).toEqual({
      ...{ok: true, records: 6, head, checkpoint: 'found', vouched: 6},
      signed: {heads: 0, through: 0, signature: 'unchecked', gaps: []},
    })
  })

  it('names the first bad record: changed, dropped, swapped, doubled, forged', async () => {
    const {lines: good} = await prepared()
    const at = (i: number) => good[i] ?? ''
    const cases: [string, string[], number][] = [
      ['changed', good.with(2, at(2).replace('user2', 'userX')), 3],
      ['its link changed', good.with(2, at(2).replace('"prev":"', '"prev":"0')), 3],
      ['the last but one changed', good.with(4, at(4).replace('user4', 'userX')), 5],
      ['the first changed', good.with(0, at(0).replace('user0', 'userX')), 1],
      ['not a record', good.with(2, '{}'), 3],
      ['dropped', good.toSpliced(2, 1), 3],
      ['swapped', good.with(2, at(3)).with(3, at(2)), 3],
      ['doubled', good.toSpliced(2, 0, at(1)), 3],
    ]
    for (const [name, text, record] of cases) {
      store(text)
      expect([name, await verifyAuditLog(directory)]).toEqual([
        name,
        {ok: false, bad: expect.objectContaining({record, line: record})},
      ])
    }
  })

  it('names a record forged onto the end when a checkpoint vouches for the one before', async () => {
    const {head, lines: good} = await prepared()
    store([...good, (good[5] ?? '').replace('"seq":6', '"seq":7')])
    expect(await verifyAuditLog(directory, head)).toMatchObject({ok: false, bad: {record: 7, line: 7}})
    expect(await verifyAuditLog(directory)).toMatchObject({
      ok: false,
      bad: {reason: expect.stringContaining('or record 7')},
    })
  })

  it('detects any flipped byte of any record but the last, and with a checkpoint of the last too', async () => {
    const {head} = await prepared()
    const good = readFileSync(lastFile())
    for (let at = 0; at < good.length; at += 37) {
      const bad = Buffer.from(good)
      bad[at] = (bad[at] ?? 0) ^ 1
      writeFileSync(lastFile(), bad)
      expect((await verifyAuditLog(directory, head)).ok).toBe(false)
    }
  })

  it('sees a cut tail and a rollback only with a checkpoint', async () => {
    const {head, lines: good} = await prepared()
    store(good.slice(0, 4))
    expect(await verifyAuditLog(directory)).toMatchObject({ok: true, records: 4})
    expect(await verifyAuditLog(directory, head)).toMatchObject({
      ok: false,
      bad: {record: 5, reason: expect.stringContaining('names record 6')},
    })
  })

  it('names a missing file', async () => {
    const log = await open()
    for (let day = 0; day < 3; day += 1) {
      await write(log, 2)
      time += 86_400_000
    }
    truncateSync(join(directory, files()[1] ?? ''))
    expect(await verifyAuditLog(directory)).toMatchObject({ok: false, bad: {record: 3, file: files()[2]}})
  })

  it('reports a torn line as the first bad record', async () => {
    await prepared()
    truncateSync(lastFile(), statSync(lastFile()).size - 5)
    expect(await verifyAuditLog(directory)).toMatchObject({ok: false, bad: {record: 6}})
  })
})

describe('a failing disk', () => {
  it('rejects the emits, leaves no trace in the chain, and goes on when there is room', async () => {
    const log = await open()
    await write(log, 1)
    // A file of the next day's name with records in it stands in for a write that fails.
    const obstacle = join(directory, 'events-000000000002-2025-11-22.jsonl')
    writeFileSync(obstacle, 'x')
    time += 86_400_000
    await expect(log.emit({event: 'resize', sid: 'a'})).rejects.toMatchObject({code: 'audit_corrupt'})
    truncateSync(obstacle)
    expect(await log.emit({event: 'resize', sid: 'a'})).toMatchObject({seq: 2, ei: 0})
    expect(await verifyAuditLog(directory)).toMatchObject({ok: true, records: 2})
  })
})
