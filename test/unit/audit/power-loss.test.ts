import {readdirSync, readFileSync, statSync, truncateSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import fc from 'fast-check'
import {beforeEach, describe, expect, it} from 'vitest'
import {type AuditLog, openAuditLog, verifyAuditLog} from '../../../src/lib/audit/index.js'
import {BATCH_BYTES} from '../../../src/lib/audit/limits.js'
import {atEnd} from '../../support/cleanup.js'
import {temporaryDirectory} from '../../support/temporary-directory.js'

// What the disk has of a write that was under way when the power went: any of its pages, in any order.

const PAGE = 4096
let directory: string

beforeEach(() => {
  directory = temporaryDirectory()
})

async function open(where = directory): Promise<AuditLog> {
  const log = await openAuditLog({directory: where, clusterName: 'c1'})
  atEnd(log.close)
  return log
}

const files = (where = directory) =>
  readdirSync(where)
    .filter(name => name.endsWith('.jsonl'))
    .sort()
const lastFile = (where = directory) => join(where, files(where).at(-1) ?? '')

const write = (log: AuditLog, sizes: readonly number[]) =>
  Promise.all(sizes.map(size => log.emit({event: 'exec', fields: {command: 'x'.repeat(size)}})))

/** A log of acknowledged records, how long it is, and the bytes of one more write behind it. */
async function prepared(acknowledged: readonly number[], under: readonly number[]) {
  const log = await open()
  for (const size of acknowledged) await write(log, [size])
  const durable = acknowledged.length === 0 ? 0 : statSync(lastFile()).size
  await write(log, under)
  await log.close()
  return {durable, bytes: readFileSync(lastFile()), name: files()[0] ?? ''}
}

describe('after a power loss', () => {
  const sizes = (maxLength: number) => fc.array(fc.integer({min: 0, max: 3500}), {minLength: 1, maxLength})

  it('has every acknowledged record, and goes on, whichever pages of the last write are missing', async () => {
    await fc.assert(
      fc.asyncProperty(
        sizes(6),
        sizes(20),
        fc.array(fc.boolean(), {minLength: 30, maxLength: 30}),
        fc.double({min: 0, max: 1, noNaN: true}),
        async (acknowledged, under, missing, share) => {
          directory = temporaryDirectory()
          const {durable, bytes, name} = await prepared(acknowledged, under)
          const length = durable + Math.ceil((bytes.length - durable) * share)
          const left = Buffer.from(bytes.subarray(0, length))
          for (let page = Math.floor(durable / PAGE); page * PAGE < length; page += 1)
            if (missing[page % missing.length])
              left.fill(0, Math.max(durable, page * PAGE), Math.min(length, (page + 1) * PAGE))
          const other = temporaryDirectory()
          writeFileSync(join(other, name), left)
          const log = await open(other)
          await log.emit({event: 'user.create', user: 'after'})
          const commands = (await log.query({event: ['exec'], order: 'oldest'})).map(
            ({command}) => String(command).length,
          )
          expect(commands.slice(0, acknowledged.length)).toEqual(acknowledged)
          expect([...acknowledged, ...under].slice(0, commands.length)).toEqual(commands)
          expect(await verifyAuditLog(other)).toMatchObject({ok: true})
          const [recovered] = await log.query({event: ['audit.recovered']})
          const kept = recovered ? readFileSync(join(other, String(recovered.kept))) : Buffer.alloc(0)
          expect(Buffer.from(readFileSync(lastFile(other)).subarray(0, left.length - kept.length))).toEqual(
            left.subarray(0, left.length - kept.length),
          )
          expect(left.subarray(left.length - kept.length)).toEqual(kept)
          expect(await log.query({event: ['audit.altered']})).toEqual([])
          await log.close()
        },
      ),
      {numRuns: 60},
    )
  }, 120_000)

  it('cuts off what was written behind a page that is missing, however whole that is', async () => {
    const {durable, bytes} = await prepared([10, 10], Array(30).fill(1000))
    const page = Math.ceil(durable / PAGE) * PAGE
    writeFileSync(lastFile(), Buffer.from(bytes).fill(0, page, page + PAGE))
    const log = await open()
    const [event] = await log.query({event: ['audit.recovered']})
    expect(event?.bytes).toBeGreaterThan(20_000)
    expect(await verifyAuditLog(directory)).toMatchObject({ok: true})
  })

  it('begins again with a file whose first write is missing, on the chain of the one before', async () => {
    for (const left of [Buffer.alloc(0), Buffer.alloc(9000), Buffer.from('{"seq":3')]) {
      directory = temporaryDirectory()
      const log = await open()
      await write(log, [1, 1])
      await log.close()
      writeFileSync(join(directory, 'events-000000000003-2099-01-01.jsonl'), left)
      const again = await open()
      expect(await verifyAuditLog(directory)).toMatchObject({ok: true})
      expect(again.head().sequence).toBe(left.length === 0 ? 2 : 3)
      await again.close()
    }
  })

  it('goes on where a file is much longer than one write, torn or not', async () => {
    const log = await open()
    for (let part = 0; part < 4; part += 1) await write(log, Array(200).fill(3000))
    await log.close()
    expect(statSync(lastFile()).size).toBeGreaterThan(2 * BATCH_BYTES)
    await (await open()).close()
    expect((await open()).head()).toEqual(log.head())
    truncateSync(lastFile(), statSync(lastFile()).size - 10_000)
    const again = await open()
    expect(await again.query({limit: 1})).toMatchObject([{event: 'audit.recovered'}])
    expect(await verifyAuditLog(directory)).toMatchObject({ok: true})
  })

  it('never has more at stake than one write, and takes all of that off', async () => {
    const log = await open()
    await write(log, [1])
    const durable = statSync(lastFile()).size
    const large = Object.fromEntries(Array.from({length: 15}, (_, i) => [`k${i}`, 'z'.repeat(4000)]))
    const wrote: number[] = []
    await Promise.all(
      Array.from({length: 100}, async () => {
        await log.emit({event: 'exec', fields: large})
        const {size} = statSync(lastFile())
        if (wrote.at(-1) !== size) wrote.push(size)
      }),
    )
    await log.close()
    expect(wrote.length).toBeGreaterThan(5)
    for (const [at, size] of wrote.entries())
      expect(size - (wrote[at - 1] ?? durable)).toBeLessThanOrEqual(BATCH_BYTES)
    const [first = 0] = wrote
    const bytes = readFileSync(lastFile())
    writeFileSync(lastFile(), bytes.fill(0, durable, first).subarray(0, first))
    const again = await open()
    expect(again.head().sequence).toBe(2)
    expect(await verifyAuditLog(directory)).toMatchObject({ok: true})
  })
})

describe('what no crash leaves', () => {
  it('is not cut off: a record that was changed among the last, which is said once', async () => {
    const log = await open()
    await write(log, Array(9).fill(5))
    await log.close()
    const bytes = readFileSync(lastFile())
    for (const [wrong, altered] of [
      ['"ei":0', 1],
      ['"seq":4', 4],
      ['"command":"xxxxx"}\n', 2],
    ] as const) {
      const changed = Buffer.from(bytes)
      changed[bytes.indexOf(wrong) + 1] = 0x21
      writeFileSync(lastFile(), changed)
      for (let start = 0; start < 2; start += 1) await (await open()).close()
      const left = readFileSync(lastFile())
      expect(left.subarray(0, bytes.length)).toEqual(changed)
      const added = left.subarray(bytes.length).toString().trimEnd().split('\n')
      expect(added).toHaveLength(1)
      expect(JSON.parse(added[0] ?? '')).toMatchObject({
        event: 'audit.altered',
        code: 'TAL03E',
        record: altered,
      })
      expect(await verifyAuditLog(directory)).toMatchObject({ok: false})
    }
  })

  it('is not cut off: a gap with more records behind it than one write has', async () => {
    const log = await open()
    await write(log, Array(400).fill(5))
    await log.close()
    const bytes = readFileSync(lastFile())
    writeFileSync(lastFile(), bytes.fill(0, 2000, 2100))
    const again = await open()
    expect(again.head().sequence).toBe(401)
    expect(await again.query({event: ['audit.recovered']})).toEqual([])
    expect(await verifyAuditLog(directory)).toMatchObject({ok: false})
  })

  it('is not cut off: a gap among records that were signed', async () => {
    const log = await open()
    await write(log, Array(9).fill(5))
    const last = log.head()
    await log.close()
    const bytes = readFileSync(lastFile())
    writeFileSync(lastFile(), bytes.fill(0, 600, 700))
    const signing = {sign: () => 'AAAA', last}
    const again = await openAuditLog({directory, clusterName: 'c1', signing})
    expect(await again.query({event: ['audit.altered']})).toMatchObject([{seq: 10}])
    await again.close()
  })

  it('takes away no more than the last line where even that has lost its end', async () => {
    const log = await open()
    await write(log, Array(3).fill(5))
    const last = log.head()
    await log.close()
    truncateSync(lastFile(), statSync(lastFile()).size - 3)
    const again = await openAuditLog({directory, clusterName: 'c1', signing: {sign: () => 'AAAA', last}})
    const told = await again.query({order: 'oldest', after: 2})
    expect(told.map(({event}) => event)).toEqual(['audit.recovered', 'audit.altered', 'audit.signed'])
    expect(told[1]).toMatchObject({record: 3})
    await again.close()
  })
})
