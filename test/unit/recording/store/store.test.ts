import {randomUUID} from 'node:crypto'
import {
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import {join} from 'node:path'
import {gunzipSync} from 'node:zlib'
import {beforeEach, describe, expect, it} from 'vitest'
import {verifyRecording} from '../../../../src/lib/recording/evidence/verify.js'
import {
  openRecordingStore,
  type RecordingChunk,
  type RecordingStore,
} from '../../../../src/lib/recording/index.js'
import {chunksOf, endOf} from '../../../support/chunks.js'
import {temporaryDirectory} from '../../../support/temporary-directory.js'
import {collect, keys, meta, openStore, readAll, record} from '../support.js'

let directory: string
let store: RecordingStore

beforeEach(async () => {
  directory = join(temporaryDirectory(), 'recordings')
  store = await openStore(directory)
})

const day = () => join(directory, '2025-11-21')
const dataFile = (sid: string) => join(day(), `${sid}.cast.gz`)
const indexFile = (sid: string) => join(day(), `${sid}.index.jsonl`)

async function written(count = 3) {
  const facts = meta()
  const all = chunksOf(facts, count)
  await store.begin(facts)
  for (const chunk of all) await store.append(facts.sid, chunk)
  return {facts, sid: facts.sid, all}
}

describe('keeping a recording', () => {
  it('writes one file a recording and an index with every fact', async () => {
    const {facts, sid, all} = await written()
    await store.seal(sid, endOf(facts, all))
    const lines = readFileSync(indexFile(sid), 'utf8')
      .trimEnd()
      .split('\n')
      .map(line => JSON.parse(line))
    expect(lines[0]).toEqual({format: 'sallyport-recording-index', version: 1, meta: facts})
    let offset = 0
    all.forEach((chunk, i) => {
      expect(lines[i + 1]).toEqual({
        seq: i,
        first: chunk.firstMs,
        last: chunk.lastMs,
        offset,
        length: chunk.data.length,
        sha256: chunk.digest,
      })
      offset += chunk.data.length
    })
    expect(lines.at(-1)).toEqual({end: {...endOf(facts, all), signature: expect.any(String)}})
    const data = readFileSync(dataFile(sid))
    expect(data.subarray(0, offset)).toEqual(Buffer.concat(all.map(chunk => chunk.data)))
    const seal = JSON.parse(gunzipSync(data.subarray(offset)).toString())
    expect(seal.slice(0, 2)).toEqual([0.9, 'x-seal'])
    expect(JSON.parse(seal[2])).toEqual(lines.at(-1).end)
  })

  it('is for the owner alone', async () => {
    const {sid} = await written()
    expect(statSync(directory).mode & 0o777).toBe(0o700)
    expect(statSync(dataFile(sid)).mode & 0o777).toBe(0o600)
    expect(statSync(indexFile(sid)).mode & 0o777).toBe(0o600)
  })

  it('takes every step twice and keeps it once', async () => {
    const facts = meta()
    const all = chunksOf(facts, 3)
    await store.begin(facts)
    await store.begin(facts)
    for (const chunk of [...all.slice(0, 2), ...all]) await store.append(facts.sid, chunk)
    await store.seal(facts.sid, endOf(facts, all))
    await store.append(facts.sid, all[1] as RecordingChunk)
    await store.seal(facts.sid, endOf(facts, all))
    await store.begin(facts)
    expect((await store.readIndex(facts.sid)).chunks).toHaveLength(3)
    expect((await store.list())[0]).toMatchObject({state: 'sealed'})
  })

  it('takes all steps from the beginning again, and goes on, also after a restart', async () => {
    const facts = meta()
    const all = chunksOf(facts, 3)
    await store.begin(facts)
    for (const chunk of all.slice(0, 2)) await store.append(facts.sid, chunk)
    await store.close()
    store = await openStore(directory)
    await store.begin(facts)
    expect((await store.list())[0]).toMatchObject({state: 'live'})
    for (const chunk of all) await store.append(facts.sid, chunk)
    await store.begin(facts)
    await store.seal(facts.sid, endOf(facts, all))
    expect((await store.readIndex(facts.sid)).seal?.chunks).toBe(3)
  })

  it('refuses another recording of the same session', async () => {
    const facts = meta()
    await store.begin(facts)
    await expect(store.begin({...facts, user: 'eve'})).rejects.toMatchObject({code: 'already_exists'})
  })

  it('keeps the order of steps that are not waited for', async () => {
    const facts = meta()
    const all = chunksOf(facts, 20)
    const steps = [
      store.begin(facts),
      ...all.map(chunk => store.append(facts.sid, chunk)),
      store.seal(facts.sid, endOf(facts, all)),
    ]
    await Promise.all(steps)
    expect((await store.readIndex(facts.sid)).seal?.chunks).toBe(20)
  })

  it('never goes on behind the end', async () => {
    const {facts, sid, all} = await written(2)
    await store.seal(sid, endOf(facts, all))
    const more = chunksOf(facts, 3)[2] as RecordingChunk
    await expect(store.append(sid, more)).rejects.toMatchObject({code: 'invalid_input'})
    expect((await store.list())[0]).toMatchObject({state: 'sealed'})
  })

  it('never makes a path of anything but a session ID', async () => {
    for (const sid of [
      '../../etc/passwd',
      '..%2f..',
      '',
      'x'.repeat(36),
      `${randomUUID()}\0`,
      `${randomUUID()}/..`,
      randomUUID().toUpperCase(),
    ]) {
      await expect(store.begin(meta({sid}))).rejects.toMatchObject({code: 'invalid_input'})
      await expect(store.append(sid, chunksOf(meta(), 1)[0] as RecordingChunk)).rejects.toMatchObject({
        code: 'invalid_input',
      })
      await expect(store.open(sid)).rejects.toMatchObject({code: 'invalid_input'})
      await expect(store.readIndex(sid)).rejects.toMatchObject({code: 'invalid_input'})
    }
    expect(readdirSync(directory)).toEqual([])
  })

  it('does not follow links: not to read, not to write', async () => {
    const {facts, sid} = await written()
    const outside = join(directory, '..', 'outside')
    renameSync(dataFile(sid), outside)
    symlinkSync(outside, dataFile(sid))
    const {data} = await store.open(sid)
    await expect(collect(data)).rejects.toThrow()
    const before = readFileSync(outside)
    await expect(store.append(sid, chunksOf(facts, 4)[3] as RecordingChunk)).rejects.toMatchObject({
      code: 'store_failed',
    })
    expect(readFileSync(outside)).toEqual(before)
    symlinkSync('/etc', join(directory, '2025-11-22'))
    expect(await store.list()).toHaveLength(1)
  })

  it('says what the system said, without a path', async () => {
    writeFileSync(day(), 'a file where the day belongs')
    await expect(store.begin(meta())).rejects.toMatchObject({
      code: 'store_failed',
      message: expect.not.stringContaining(directory),
    })
  })
})

describe('after a restart', () => {
  it('shows what has no end as truncated, and takes it up again', async () => {
    const {facts, sid, all} = await written(3)
    expect((await store.list())[0]?.state).toBe('live')
    const again = await openStore(directory)
    expect((await again.list())[0]).toMatchObject({state: 'truncated', durationMs: 25})
    const more = chunksOf(facts, 4)
    await again.append(sid, more[3] as RecordingChunk)
    expect((await again.list())[0]?.state).toBe('live')
    await again.seal(sid, endOf(facts, more))
    expect((await again.list())[0]).toMatchObject({
      state: 'sealed',
      ...{endedAt: facts.startedAt + 900, durationMs: 900},
    })
    expect(all).toHaveLength(3)
  })

  it('goes on from the index, wherever the crash tore either file', async () => {
    const {facts, sid} = await written(3)
    const index = readFileSync(indexFile(sid))
    const data = readFileSync(dataFile(sid))
    const more = chunksOf(facts, 4)
    const lastLine = index.lastIndexOf(0x0a, index.length - 2) + 1
    for (const tear of [lastLine, lastLine + 1, index.length - 1]) {
      writeFileSync(indexFile(sid), index.subarray(0, tear))
      writeFileSync(dataFile(sid), Buffer.concat([data, Buffer.from('half a chunk')]))
      const again = await openStore(directory)
      expect((await again.readIndex(sid)).tornBytes).toBe(tear - lastLine)
      await again.append(sid, more[2] as RecordingChunk)
      await again.append(sid, more[3] as RecordingChunk)
      await again.seal(sid, endOf(facts, more))
      const {chunks: kept, tornBytes} = await again.readIndex(sid)
      expect([kept.length, tornBytes]).toEqual([4, 0])
      expect(readFileSync(dataFile(sid)).subarray(0, data.length)).toEqual(data)
    }
  })

  it('does not write behind a hole when the data became shorter than the index', async () => {
    const {facts, sid} = await written(3)
    truncateSync(dataFile(sid), 10)
    const again = await openStore(directory)
    await expect(again.append(sid, chunksOf(facts, 4)[3] as RecordingChunk)).rejects.toMatchObject({
      code: 'store_failed',
    })
  })
})

describe('a list', () => {
  it('is newest first, filtered, and limited', async () => {
    const begun = [10, 30, 20].map(at =>
      meta({startedAt: at, user: at === 20 ? 'ann' : 'joe', host: `h${at}`}),
    )
    for (const facts of begun) await store.begin(facts)
    const starts = async (query = {}) => (await store.list(query)).map(summary => summary.startedAt)
    expect(await starts()).toEqual([30, 20, 10])
    expect(await starts({limit: 2})).toEqual([30, 20])
    expect(await starts({user: 'joe'})).toEqual([30, 10])
    expect(await starts({host: 'h10'})).toEqual([10])
    expect(await starts({login: 'nobody'})).toEqual([])
    expect(await starts({from: 20, to: 30})).toEqual([20])
  })

  it('puts days before times', async () => {
    await store.begin(meta({host: 'old'}))
    const next = await openRecordingStore({
      directory,
      now: () => Date.parse('2025-11-22T00:00:01Z'),
      signHead: () => '',
    })
    await next.begin(meta({host: 'new'}))
    expect((await next.list()).map(summary => summary.host)).toEqual(['new', 'old'])
  })

  it('shows a session whose command is as long as it may be', async () => {
    const long = '\u0001'.repeat(100_000)
    const facts = meta({command: long, user: long, login: long, host: long, cluster: long, address: long})
    await store.begin(facts)
    const [summary] = await store.list()
    expect(summary?.command).toHaveLength(512)
    // It has to fit into a header of HTTP.
    expect(Buffer.from(JSON.stringify(summary)).toString('base64').length).toBeLessThan(15_000)
    expect((await store.readIndex(facts.sid)).meta.command).toHaveLength(16 * 1024 + 1)
  })

  it('leaves a damaged one out, says so, and shows the others', async () => {
    const {sid} = await written()
    await store.begin(meta())
    writeFileSync(indexFile(sid), 'garbage\n')
    const damaged: string[] = []
    const again = await openRecordingStore({
      directory,
      signHead: () => '',
      onDamage: (id, error) => damaged.push(`${id} ${error}`),
    })
    expect(await again.list()).toHaveLength(1)
    expect(damaged[0]).toContain(sid)
  })
})

describe('opening a recording', () => {
  it('gives its summary and its bytes', async () => {
    const sid = await record(store, (writer, wait) => {
      writer.output(Buffer.from('hello'))
      wait(2500)
      writer.output(Buffer.from('bye'))
    })
    const {summary, data} = await store.open(sid)
    expect(summary).toMatchObject({
      sid,
      user: 'joe',
      state: 'sealed',
      durationMs: 2500,
      bytes: statSync(dataFile(sid)).size,
    })
    const {events, end} = await readAll(await collect(data))
    expect(events.map(event => event.kind === 'output' && event.text)).toEqual(['hello', 'bye'])
    expect(end).toBe('sealed')
  })

  it('gives of a live one only what is durable', async () => {
    const {sid, all} = await written()
    writeFileSync(dataFile(sid), Buffer.concat([...all.map(chunk => chunk.data), Buffer.from('half')]))
    const {data} = await store.open(sid)
    expect((await collect(data)).length).toBe(all.reduce((sum, chunk) => sum + chunk.data.length, 0))
  })

  it('says when there is none', async () => {
    mkdirSync(day(), {recursive: true})
    await expect(store.open(randomUUID())).rejects.toMatchObject({code: 'not_found'})
  })

  it.each([{}, {term: '', command: ''}, {term: 'xterm', command: 'ls'}])(
    'verifies, with the index and without: %j',
    async facts => {
      const sid = await record(
        store,
        writer => {
          writer.output(Buffer.from('x'))
        },
        facts,
      )
      for (const index of [await store.readIndex(sid), undefined]) {
        const {data} = await store.open(sid)
        expect(
          await verifyRecording({data, keys: [keys.publicKey], sid, ...(index && {index})}),
        ).toMatchObject({
          result: 'verified',
          sid,
          chunks: 2,
        })
      }
    },
  )
})
