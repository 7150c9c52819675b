import {readdirSync, readFileSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {beforeAll, describe, expect, test} from 'vitest'
import {listLogFiles} from '../../../src/lib/audit/files.js'
import {type AuditQuery, openAuditLog} from '../../../src/lib/audit/index.js'
import {queryFiles} from '../../../src/lib/audit/query.js'
import {temporaryDirectory} from '../../support/temporary-directory.js'

const day = 86_400_000
const count = 6000
let directory: string

/** Three days, two thousand records each; the lines of a day are some megabytes. */
beforeAll(async () => {
  directory = temporaryDirectory()
  let clock = Date.parse('2025-11-20T12:00:00Z')
  const log = await openAuditLog({directory, clusterName: 'c1', now: () => clock})
  for (let i = 0; i < count; i++) {
    if (i > 0 && i % 2000 === 0) clock += day
    const host = i % 2 === 0 ? 'db1' : 'web1'
    const emitted = log.emit({
      ...{event: 'exec', user: `user${i % 3}`, login: i % 5 === 0 ? 'root' : 'app', server_hostname: host},
      fields: {command: 'x'.repeat(i % 700)},
    })
    if (i % 200 === 199) await emitted
  }
  await log.close()
})

const query = async (asked: AuditQuery, damage?: (file: string, offset: number) => void) =>
  (await queryFiles(await listLogFiles(directory), asked, undefined, damage)).map(({seq}) => seq)

const numbers = (from: number, to: number): number[] =>
  Array.from({length: to - from + 1}, (_, i) => from + i)

describe('records', () => {
  test('are spread over files', async () => {
    expect((await listLogFiles(directory)).map(({firstSequence}) => firstSequence)).toEqual([1, 2001, 4001])
  })

  test.each([0, 1, 2, 999, 1999, 2000, 2001, 3456, 4000, 5999, 6000, 9999])('after %i', async after => {
    expect(await query({after, order: 'oldest', limit: 10_000})).toEqual(numbers(after + 1, count))
    expect(await query({after, order: 'oldest', limit: 7})).toEqual(
      numbers(after + 1, Math.min(after + 7, count)),
    )
    expect(await query({after, limit: 10_000})).toEqual(numbers(after + 1, count).reverse())
  })

  test.each([1, 2, 3, 999, 2000, 2001, 2002, 3456, 4001, 6000, 6001, 9999])('before %i', async before => {
    const last = Math.min(before - 1, count)
    expect(await query({before, limit: 10_000})).toEqual(numbers(1, last).reverse())
    expect(await query({before, limit: 7})).toEqual(numbers(Math.max(1, last - 6), last).reverse())
    expect(await query({before, order: 'oldest', limit: 10_000})).toEqual(numbers(1, last))
    expect(await query({before, after: 1990, limit: 10_000})).toEqual(numbers(1991, last).reverse())
  })

  test('page by page, newest first, are all of them once', async () => {
    const pages: number[] = []
    for (let before: number | undefined; ; ) {
      const page = await query({limit: 700, login: 'root', ...(before !== undefined && {before})})
      pages.push(...page)
      before = page.at(-1)
      if (page.length < 700) break
    }
    expect(pages).toEqual(await query({login: 'root', limit: 10_000}))
  })

  test('that came to pass, that did not, and without some kinds', async () => {
    const failing = await openAuditLog({directory: temporaryDirectory(), clusterName: 'c1'})
    const seqs = async (asked: AuditQuery) => (await failing.query(asked)).map(({seq}) => seq)
    await failing.emit({event: 'user.login', success: false})
    await failing.emit({event: 'user.login'})
    await failing.emit({event: 'auth'})
    expect(await seqs({success: false})).toEqual([3, 1])
    expect(await seqs({success: true})).toEqual([2])
    expect(await seqs({without: ['user.login']})).toEqual([3])
    await failing.close()
  })

  test('of a host, an account, and both with a user', async () => {
    const all = numbers(1, count)
    const found = (asked: AuditQuery) => query({...asked, order: 'oldest', limit: 10_000})
    expect(await found({host: 'db1'})).toEqual(all.filter(seq => (seq - 1) % 2 === 0))
    expect(await found({login: 'root'})).toEqual(all.filter(seq => (seq - 1) % 5 === 0))
    expect(await found({login: 'root', host: 'web1', user: 'user1'})).toEqual(
      all.filter(seq => (seq - 1) % 5 === 0 && (seq - 1) % 2 === 1 && (seq - 1) % 3 === 1),
    )
  })

  test('around damage are all found, and the damage is reported', async () => {
    const [, file] = readdirSync(directory).sort()
    const path = join(directory, file ?? '')
    const good = readFileSync(path)
    const lines = good.toString().split('\n')
    for (const at of [900, 1000, 1001]) lines[at] = 'damaged'
    writeFileSync(path, lines.join('\n'))
    const places: string[] = []
    const found = await query({after: 2500, order: 'oldest', limit: 10_000}, name => places.push(name))
    writeFileSync(path, good)
    expect(found).toEqual(numbers(2501, count).filter(seq => ![2901, 3001, 3002].includes(seq)))
    expect(places).toHaveLength(3)
  })
})
