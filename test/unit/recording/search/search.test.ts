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

  test('says when there is more, and shows at most so many lines of a session', async () => {
    const lines = Array.from({length: 60}, (_, i) => `needle ${i}\r\n`)
    for (let i = 0; i < 3; i++) await session([lines.join('')])
    const all = await find('needle')
    expect([all.hits.length, all.more]).toEqual([60, false])
    expect(all.hits[0]?.line).toBe('needle 0')
    const some = await find('needle', {limit: 25})
    expect([some.hits.length, some.more]).toEqual([25, true])
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

  test('shows nothing of a recording that was removed', async () => {
    const sid = await session(['needle'])
    await store.indexed()
    rmSync(join(day(), `${sid}.index.jsonl`))
    expect((await find('needle')).hits).toEqual([])
  })
})
