import {appendFileSync, existsSync, readdirSync, rmSync, statSync, truncateSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {beforeEach, describe, expect, test} from 'vitest'
import {
  openRecordingStore,
  type RecordingSearchQuery,
  type RecordingStore,
} from '../../../../src/lib/recording/index.js'
import {atEnd} from '../../../support/cleanup.js'
import {temporaryDirectory} from '../../../support/temporary-directory.js'
import {meta, record} from '../support.js'

const ESC = '\u001b'
const noon = Date.parse('2025-11-21T12:00:00Z')

let directory: string
let store: RecordingStore

async function open(indexWhenSealed = true, onDamage: (sid: string) => void = () => {}, searchMs = 60_000) {
  const opened = await openRecordingStore({
    ...{directory, indexWhenSealed, onDamage, searchMs},
    now: () => noon,
    signHead: () => 'c2lnbmVk',
  })
  atEnd(opened.close)
  return opened
}

beforeEach(async () => {
  directory = temporaryDirectory()
  store = await open()
})

/** A session of outputs, half a second after one another. */
const session = (outputs: string[], changes: Parameters<typeof meta>[0] = {}, into = store) =>
  record(
    into,
    (writer, wait) => {
      for (const output of outputs) {
        wait(500)
        writer.output(Buffer.from(output))
      }
    },
    changes,
  )

async function find(text: string, rest: Partial<RecordingSearchQuery> = {}, where = store) {
  await where.indexed()
  const answer = await where.search({regex: false, ignoreCase: false, ...rest, text})
  return {...answer, found: answer.hits.map(({recording, ms, line}) => [recording.sid, ms, line])}
}

const day = () => join(directory, '2025-11-21')
const screen = (sid: string) => join(day(), `${sid}.screen.gz`)

describe('a search', () => {
  test('answers the session, the time and the line', async () => {
    const sid = await session(['$ ls\r\n', `${ESC}[31msec${ESC}[0mret.txt  notes\r\n`, '$ ', 'exit\r\n'], {
      term: 'xterm',
    })
    await session(['$ true\r\n'])
    const {found, hits, more, waiting, partly} = await find('secret')
    expect(found).toEqual([[sid, 1000, 'secret.txt  notes']])
    expect(hits[0]?.recording).toMatchObject({user: 'joe', state: 'sealed'})
    expect({more, waiting, partly}).toEqual({more: false, waiting: 0, partly: 0})
  })

  test('keeps to the filter, newest sessions first', async () => {
    const early = await session(['needle'], {startedAt: noon - 1000})
    const late = await session(['needle'], {startedAt: noon, user: 'ann', host: 'db1', login: 'app'})
    const sids = async (filter: Partial<RecordingSearchQuery>) =>
      (await find('needle', filter)).hits.map(({recording}) => recording.sid)
    expect(await sids({})).toEqual([late, early])
    expect(await sids({user: 'joe'})).toEqual([early])
    expect(await sids({host: 'db1'})).toEqual([late])
    expect(await sids({login: 'app', from: noon})).toEqual([late])
    expect(await sids({to: noon})).toEqual([early])
    expect(await sids({user: 'nobody'})).toEqual([])
  })

  test('tells letters apart by case unless told not to', async () => {
    await session(['Straße ÄRGER ΟΔΟΣ\r\n'])
    for (const [text, plainly, folded] of [
      ['ÄRGER', 1, 1],
      ['ärger', 0, 1],
      ['οδος', 0, 1],
      ['οδοσ', 0, 1],
      ['STRAßE', 0, 1],
    ] as const) {
      expect([text, (await find(text)).hits.length]).toEqual([text, plainly])
      expect([text, (await find(text, {ignoreCase: true})).hits.length]).toEqual([text, folded])
    }
  })

  test('finds a character written in two ways, and single characters', async () => {
    await session(['cafe\u0301 \u4f60\u597d\r\n'])
    for (const text of ['caf\u00e9', 'cafe\u0301', '\u597d', 'c', 'af'])
      expect([text, (await find(text)).hits.length]).toEqual([text, 1])
  })

  test('takes a regular expression', async () => {
    await session(['user=root id=4711\r\n'])
    for (const [text, hits] of [
      ['id=\\d{4}$', 1],
      ['user=(root|admin)', 1],
      ['(no)?user=[a-z]+ id', 1],
      ['usr+er', 0],
      ['us?er=r.*1', 1],
      ['USER', 0],
    ] as const)
      expect([text, (await find(text, {regex: true})).hits.length]).toEqual([text, hits])
    expect((await find('USER', {regex: true, ignoreCase: true})).hits).toHaveLength(1)
    expect((await find('id=\\d')).hits).toEqual([])
  })

  test('refuses nothing, too much, and what is no expression', async () => {
    for (const query of [{text: ''}, {text: ' '}, {text: 'x'.repeat(257)}, {text: '(', regex: true}])
      await expect(store.search({regex: false, ignoreCase: false, ...query})).rejects.toMatchObject({
        code: 'invalid_input',
      })
  })

  test('is ended when an expression takes for ever, and holds nobody up', async () => {
    await session([`${'a'.repeat(78)}!\r\n`])
    await store.indexed()
    const impatient = await open(false, undefined, 1000)
    const runaway = impatient.search({text: '^(a+)+$', regex: true, ignoreCase: false})
    const refused = expect(runaway).rejects.toMatchObject({
      ...{code: 'timeout', message: 'the search took longer than 1 s'},
    })
    expect((await find('aaa!')).hits).toHaveLength(1)
    await refused
  })

  describe('that finds much', () => {
    const lines = (count: number) => Array.from({length: count}, (_, i) => `needle ${i}\r\n`).join('')

    test('says of which sessions only the earliest lines are shown', async () => {
      const few = await session([lines(20)], {startedAt: noon - 2})
      const many = await session([lines(100)], {startedAt: noon - 1})
      const {hits, more, cut, next, partly} = await find('needle', {limit: 1000})
      expect(hits.map(({recording}) => recording.sid)).toEqual([
        ...Array(20).fill(many),
        ...Array(20).fill(few),
      ])
      expect(hits[0]?.line).toBe('needle 0')
      expect({more, cut, next, partly}).toEqual({more: true, cut: [many], next: undefined, partly: 0})
    })

    test('shows as many lines as may be of the one session that is asked for', async () => {
      const sid = await session([lines(100)])
      await session([lines(3)], {user: 'ann'})
      const of = async (query: Partial<RecordingSearchQuery>) => {
        const {hits, more, cut} = await find('needle', query)
        return [hits.length, more, cut]
      }
      expect(await of({sid, limit: 1000})).toEqual([100, false, []])
      expect(await of({sid, limit: 30})).toEqual([30, true, [sid]])
      expect(await of({sid, user: 'ann'})).toEqual([0, false, []])
      expect(await of({sid: '00000000-0000-4000-8000-000000000000'})).toEqual([0, false, []])
    })

    test('goes on page by page: together they are all of it, and no line comes twice', async () => {
      const sizes = [3, 25, 0, 7, 20, 1, 0, 40]
      for (const [i, size] of sizes.entries())
        await session([lines(size), 'x'], {startedAt: noon - i * 5 * 3_600_000})
      await store.begin(meta({startedAt: noon - 3_600_000}))
      const whole = await find('needle', {limit: 1000})
      expect([whole.hits.length, whole.cut.length, whole.more, whole.waiting]).toEqual([71, 2, true, 1])
      for (const limit of [1, 20, 45]) {
        const pages: (typeof whole)[] = []
        for (let after: string | undefined; ; ) {
          const page = await find('needle', {limit, ...(after !== undefined && {after})})
          expect(page.hits.length).toBeLessThanOrEqual(limit)
          pages.push(page)
          after = page.next
          expect(page.more).toBe(after !== undefined || page.cut.length > 0)
          if (after === undefined) break
        }
        const sessions = pages.flatMap(({hits}) => [...new Set(hits.map(({recording}) => recording.sid))])
        expect(sessions).toEqual([...new Set(whole.hits.map(({recording}) => recording.sid))])
        expect(pages.reduce((sum, {waiting}) => sum + waiting, 0)).toBe(1)
        if (limit >= 20) expect(pages.flatMap(({found}) => found)).toEqual(whole.found)
      }
    })

    test('does not go on after a session that its filter does not find', async () => {
      const sid = await session([lines(1)], {user: 'ann'})
      for (const after of [sid, '00000000-0000-4000-8000-000000000000'])
        await expect(find('needle', {user: 'joe', after})).rejects.toMatchObject({code: 'not_found'})
    })
  })

  test('shows of a long line what is around the match', async () => {
    await session([`${'x'.repeat(1000)}needle${'y'.repeat(1000)}`], {width: 80})
    const line = (await find('needle')).hits[0]?.line ?? ''
    expect(line).toContain('xneedley')
    expect(line.length).toBeLessThan(410)
  })
})

describe('what cannot be searched', () => {
  test('is counted: sessions that still run, of the filter alone', async () => {
    await store.begin(meta({user: 'ann'}))
    expect(await find('x')).toMatchObject({hits: [], waiting: 1, partly: 0})
    expect(await find('x', {user: 'joe'})).toMatchObject({waiting: 0})
  })

  test('is counted: a damaged recording, which hides no other', async () => {
    const damaged: string[] = []
    const quiet = await open(false, sid => damaged.push(sid))
    const bad = await session(['needle'], {}, quiet)
    const good = await session(['needle'], {}, quiet)
    writeFileSync(join(day(), `${bad}.cast.gz`), 'x'.repeat(statSync(join(day(), `${bad}.cast.gz`)).size))
    await quiet.search({text: 'needle', regex: false, ignoreCase: false})
    const {found, partly, waiting} = await find('needle', {}, quiet)
    expect(found.map(([sid]) => sid)).toEqual([good])
    expect({partly, waiting}).toEqual({partly: 1, waiting: 0})
    expect(damaged).toEqual([bad])
  })

  test('is counted: what follows damage in a recording; what came before is found', async () => {
    const quiet = await open(false)
    const sid = await record(quiet, async writer => {
      for (const text of ['needle one\r\n', 'needle two\r\n']) {
        writer.output(Buffer.from(text))
        await writer.flush()
      }
    })
    const {chunks} = await quiet.readIndex(sid)
    const last = chunks.at(-1)
    const path = join(day(), `${sid}.cast.gz`)
    const bytes = Buffer.from(await collectFile(path))
    bytes.fill(0x55, (last?.offset ?? 0) + 12, (last?.offset ?? 0) + 20)
    writeFileSync(path, bytes)
    await quiet.search({text: 'needle', regex: false, ignoreCase: false})
    const {found, partly} = await find('needle', {}, quiet)
    expect([found.map(([, , line]) => line), partly]).toEqual([['needle one'], 1])
  })
})

const collectFile = async (path: string) => (await import('node:fs/promises')).readFile(path)

describe('the index', () => {
  test('is made by the first search where there was none, and found again after a restart', async () => {
    const quiet = await open(false)
    const sid = await session(['needle'], {}, quiet)
    expect(existsSync(screen(sid))).toBe(false)
    expect(await find('needle', {}, quiet)).toMatchObject({hits: [], waiting: 1})
    expect((await find('needle', {}, quiet)).hits).toHaveLength(1)
    const {mtimeMs} = statSync(screen(sid))
    await quiet.close()
    expect((await find('needle', {}, await open(false))).hits).toHaveLength(1)
    expect(statSync(screen(sid)).mtimeMs).toBe(mtimeMs)
  })

  test('is its owner’s alone, and leaves nothing half done behind', async () => {
    const sid = await session(['needle'])
    await store.indexed()
    for (const path of [screen(sid), join(day(), 'search.bin')])
      expect(statSync(path).mode & 0o777).toBe(0o600)
    expect(readdirSync(day()).filter(name => name.endsWith('.tmp'))).toEqual([])
  })

  test.each([
    ['deleted', (path: string) => rmSync(path)],
    ['cut in the middle', (path: string) => truncateSync(path, statSync(path).size - 10)],
    ['followed by what a crash left', (path: string) => appendFileSync(path, Buffer.alloc(20, 7))],
    ['overwritten', (path: string) => writeFileSync(path, Buffer.alloc(500, 0xff))],
  ])('is made whole again when its file was %s', async (_how, harm) => {
    const first = await session(['needle one'])
    const second = await session(['needle two'])
    await store.indexed()
    await store.close()
    harm(join(day(), 'search.bin'))
    const again = await open(false)
    await again.search({text: 'needle', regex: false, ignoreCase: false})
    const {found, waiting} = await find('needle', {}, again)
    expect([found.map(([sid]) => sid).sort(), waiting]).toEqual([[first, second].sort(), 0])
  })

  test('reads a recording again that went on', async () => {
    const quiet = await open(false)
    const facts = meta()
    const {createRecordingWriter} = await import('../../../../src/lib/recording/index.js')
    const writer = createRecordingWriter({meta: facts, sink: quiet, now: () => 0})
    writer.output(Buffer.from('needle one\r\n'))
    await writer.flush()
    const restarted = await open(false)
    await restarted.search({text: 'needle', regex: false, ignoreCase: false})
    expect((await find('needle', {}, restarted)).hits).toHaveLength(1)
    writer.output(Buffer.from('needle two\r\n'))
    await writer.end()
    const later = await open(false)
    await later.search({text: 'needle', regex: false, ignoreCase: false})
    expect((await find('needle', {}, later)).hits).toHaveLength(2)
  })

  test.each([
    ['deleted', (path: string) => rmSync(path)],
    ['damaged', (path: string) => truncateSync(path, 10)],
  ])(
    'says of a session that it was not searched when its screen was %s, and reads it again',
    async (_how, harm) => {
      const sid = await session(['needle'])
      await session(['needle'], {startedAt: noon + 1})
      await store.indexed()
      harm(screen(sid))
      const {hits, waiting} = await store.search({text: 'needle', regex: false, ignoreCase: false})
      expect([hits.length, waiting]).toEqual([1, 1])
      expect(await find('needle')).toMatchObject({hits: [{}, {}], waiting: 0})
    },
  )

  test('shows nothing of a recording that was removed', async () => {
    const sid = await session(['needle'])
    await store.indexed()
    rmSync(join(day(), `${sid}.index.jsonl`))
    expect((await find('needle')).hits).toEqual([])
  })
})
