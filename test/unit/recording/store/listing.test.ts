import {readFileSync, rmSync, statSync, utimesSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {beforeEach, describe, expect, test} from 'vitest'
import {openRecordingStore, type RecordingStore} from '../../../../src/lib/recording/index.js'
import {temporaryDirectory} from '../../../support/temporary-directory.js'
import {meta, record} from '../support.js'

const noon = Date.parse('2025-11-21T12:00:00Z')
const hour = 3_600_000
const day = 24 * hour

let directory: string
let clock: number

beforeEach(() => {
  directory = temporaryDirectory()
  clock = noon
})

const open = (onDamage?: (sid: string) => void): Promise<RecordingStore> =>
  openRecordingStore({
    directory,
    now: () => clock,
    signHead: () => 'c2lnbmVk',
    ...(onDamage && {onDamage}),
  })

/** A sealed recording that began at `startedAt`. */
async function add(store: RecordingStore, startedAt: number, changes: Parameters<typeof meta>[0] = {}) {
  clock = startedAt
  return await record(store, writer => void writer.output(Buffer.from('x')), {startedAt, ...changes})
}

const sids = async (store: RecordingStore, query = {}) => (await store.list(query)).map(({sid}) => sid)
const catalogue = () => join(directory, '2025-11-21', 'catalogue.jsonl')
const index = (sid: string) => join(directory, '2025-11-21', `${sid}.index.jsonl`)

describe('a list', () => {
  test('keeps to every filter', async () => {
    const store = await open()
    const joe = await add(store, noon, {user: 'joe', host: 'db1', login: 'root'})
    const ann = await add(store, noon + hour, {user: 'ann', host: 'db1', login: 'app'})
    const late = await add(store, noon + day, {user: 'joe', host: 'web1', login: 'app'})
    expect(await sids(store)).toEqual([late, ann, joe])
    expect(await sids(store, {user: 'joe'})).toEqual([late, joe])
    expect(await sids(store, {host: 'db1'})).toEqual([ann, joe])
    expect(await sids(store, {login: 'app'})).toEqual([late, ann])
    expect(await sids(store, {from: noon + hour})).toEqual([late, ann])
    expect(await sids(store, {to: noon + hour})).toEqual([joe])
    expect(await sids(store, {from: noon + 1, to: noon + day})).toEqual([ann])
    expect(await sids(store, {from: noon + 30 * day})).toEqual([])
    expect(await sids(store, {user: 'ann', host: 'web1'})).toEqual([])
  })

  test('goes on where one was that was removed meanwhile, for whoever could have seen it', async () => {
    const store = await open()
    const [a, b, c] = [await add(store, noon), await add(store, noon), await add(store, noon + day)]
    const [first = '', second = '', third] = await sids(store)
    expect([first, [second, third].sort()]).toEqual([c, [a, b].sort()])
    const request = {at: clock, by: 'retention', cause: 'retention', announce: async () => {}} as const
    await store.remove(first, request)
    await store.remove(second, request)
    expect(await sids(store, {after: first, user: 'joe'})).toEqual([third])
    expect(await sids(store, {after: second})).toEqual([third])
    await expect(sids(store, {after: first, user: 'ann'})).rejects.toMatchObject({code: 'not_found'})
  })

  test('is gone through page by page without gap or repetition, equal times included', async () => {
    const store = await open()
    const all: string[] = []
    for (let i = 0; i < 12; i++) all.push(await add(store, noon + Math.floor(i / 4) * day))
    const pages: string[][] = []
    for (let after: string | undefined; ; after = pages.at(-1)?.at(-1)) {
      const page = await sids(store, {limit: 5, ...(after !== undefined && {after})})
      if (page.length === 0) break
      pages.push(page)
    }
    expect(pages.map(page => page.length)).toEqual([5, 5, 2])
    expect(pages.flat()).toEqual(await sids(store))
    expect(new Set(pages.flat())).toEqual(new Set(all))
  })

  test('does not go on after a recording that the query does not find', async () => {
    const store = await open()
    await add(store, noon)
    const ann = await add(store, noon, {user: 'ann'})
    for (const after of [ann, '00000000-0000-4000-8000-000000000000'])
      await expect(store.list({user: 'joe', after})).rejects.toMatchObject({code: 'not_found'})
    await expect(store.list({after: '../x'})).rejects.toMatchObject({code: 'invalid_input'})
  })
})

describe('the catalogue of a day', () => {
  test('spares opening the indexes after a restart', async () => {
    const store = await open()
    const sid = await add(store, noon)
    clock = noon + day
    utimesSync(index(sid), 1000, 1000)
    await store.list()
    writeFileSync(index(sid), 'x'.repeat(statSync(index(sid)).size))
    utimesSync(index(sid), 1000, 1000)
    expect(await sids(await open(), {user: 'joe'})).toEqual([sid])
  })

  test('is not trusted over an index that has changed', async () => {
    const sid = await add(await open(), noon)
    clock = noon + day
    await (await open()).list()
    writeFileSync(index(sid), readFileSync(index(sid), 'utf8').replace('"user":"joe"', '"user":"annie"'))
    expect(await sids(await open(), {user: 'joe'})).toEqual([])
    expect(await sids(await open(), {user: 'annie'})).toEqual([sid])
  })

  test('shows nothing that is not there any more, nor hides what is new', async () => {
    const store = await open()
    const gone = await add(store, noon)
    clock = noon + day
    await store.list()
    rmSync(index(gone))
    const added = await add(store, noon)
    for (const opened of [store, await open()]) expect(await sids(opened)).toEqual([added])
  })

  test.each([
    ['emptied', ''],
    ['no JSON', '{'],
    ['of another version', '{"format":"sallyport-recording-catalogue","version":2}\n{}\n'],
    ['holding nonsense', '{"format":"sallyport-recording-catalogue","version":1}\n{}\nnull\n{"summary":\n'],
  ])('is made anew when it is %s', async (_how, content) => {
    const sid = await add(await open(), noon)
    clock = noon + day
    await (await open()).list()
    const good = readFileSync(catalogue(), 'utf8')
    writeFileSync(catalogue(), content)
    expect(await sids(await open())).toEqual([sid])
    expect(readFileSync(catalogue(), 'utf8')).toBe(good)
  })

  test('holds sealed recordings alone, and is its owner’s', async () => {
    const store = await open()
    const sealed = await add(store, noon)
    const live = meta({startedAt: noon})
    await store.begin(live)
    clock = noon + day
    expect((await store.list()).map(({state}) => state).sort()).toEqual(['live', 'sealed'])
    const lines = readFileSync(catalogue(), 'utf8').trimEnd().split('\n').slice(1)
    expect(lines.map(line => JSON.parse(line).summary.sid)).toEqual([sealed])
    expect(statSync(catalogue()).mode & 0o777).toBe(0o600)
    expect((await (await open()).list({limit: 5})).map(({state}) => state).sort()).toEqual([
      'sealed',
      'truncated',
    ])
  })

  test('leaves out a damaged recording, and reports it', async () => {
    const store = await open()
    const bad = await add(store, noon)
    const good = await add(store, noon)
    writeFileSync(index(bad), 'nonsense\n')
    const damaged: string[] = []
    expect(await sids(await open(sid => damaged.push(sid)))).toEqual([good])
    expect(damaged).toEqual([bad])
  })
})
