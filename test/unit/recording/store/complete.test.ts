import {readFileSync, rmSync, statSync, truncateSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {gzipSync} from 'node:zlib'
import {beforeEach, describe, expect, it} from 'vitest'
import {verifyRecording} from '../../../../src/lib/recording/evidence/verify.js'
import {createRecordingWriter, type RecordingStore} from '../../../../src/lib/recording/index.js'
import {temporaryDirectory} from '../../../support/temporary-directory.js'
import {collect, keys, meta, openStore, readAll, wire} from '../support.js'

let directory: string

beforeEach(() => {
  directory = join(temporaryDirectory(), 'recordings')
})

const reason = 'the power went'
const dataFile = (sid: string) => join(directory, '2025-11-21', `${sid}.cast.gz`)
const indexFile = (sid: string) => join(directory, '2025-11-21', `${sid}.index.jsonl`)

/** A recording of three chunks and the header, as a service leaves it that is gone: every word is durable. */
async function leave(): Promise<{sid: string; data: Buffer; index: Buffer}> {
  const store = await openStore(directory)
  const facts = meta()
  let clock = 0
  const writer = createRecordingWriter({meta: facts, sink: store, now: () => clock})
  for (const word of ['one ', 'two ', 'three ']) {
    clock += 100
    writer.output(Buffer.from(word))
    await writer.flush()
  }
  return {sid: facts.sid, data: readFileSync(dataFile(facts.sid)), index: readFileSync(indexFile(facts.sid))}
}

async function look(store: RecordingStore, sid: string) {
  const index = await store.readIndex(sid)
  const bytes = await collect((await store.open(sid)).data)
  const verdict = await verifyRecording({
    data: (await store.open(sid)).data,
    keys: [keys.publicKey],
    index,
    sid,
  })
  const {events, end} = await readAll(bytes)
  return {verdict, text: wire(events).toString(), end, size: bytes.length}
}

const lineStarts = (index: Buffer): number[] => {
  const starts = [0]
  for (let at = index.indexOf(0x0a); at >= 0; at = index.indexOf(0x0a, at + 1)) starts.push(at + 1)
  return starts
}

describe('completing a recording that was cut short', () => {
  it('seals it as truncated, for good, and says so everywhere', async () => {
    const {sid} = await leave()
    const store = await openStore(directory)
    const done = await store.complete(sid, reason)
    expect(done?.end).toMatchObject({chunks: 4, durationMs: 300, truncated: reason})
    expect(done?.meta.sid).toBe(sid)
    expect(await look(store, sid)).toMatchObject({
      verdict: {result: 'verified', sid, chunks: 4, truncated: reason},
      text: 'one two three ',
      end: 'truncated',
    })
    const [summary] = await store.list()
    expect(summary).toMatchObject({state: 'truncated', durationMs: 300})
    expect(summary?.endedAt).toBe((summary?.startedAt ?? 0) + 300)
    const before = readFileSync(dataFile(sid))
    expect((await store.complete(sid, 'another reason'))?.end.truncated).toBe(reason)
    expect(readFileSync(dataFile(sid))).toEqual(before)
  })

  it('keeps everything up to the last whole chunk wherever the data was torn', async () => {
    const {sid, data, index} = await leave()
    const {chunks} = await (await openStore(directory)).readIndex(sid)
    const lines = lineStarts(index)
    const texts = ['', 'one ', 'one two ', 'one two three ']
    for (let at = 0; at < data.length; at += 7) {
      // The data comes first: the index names at most the whole chunks that are there.
      const whole = chunks.filter(({offset, length}) => offset + length <= at).length
      for (const named of [whole, Math.max(0, whole - 1)]) {
        writeFileSync(dataFile(sid), data.subarray(0, at))
        writeFileSync(indexFile(sid), index.subarray(0, lines[named + 1]))
        const store = await openStore(directory)
        await store.complete(sid, reason)
        const found = await look(store, sid)
        expect(found.verdict).toMatchObject({
          result: 'verified',
          truncated: reason,
          chunks: Math.max(1, whole),
        })
        expect(found.text).toBe(texts[Math.max(0, whole - 1)])
      }
    }
  })

  it('takes any bytes after the last whole chunk as torn', async () => {
    const {data} = await leave()
    for (const tail of [
      Buffer.alloc(5000),
      Buffer.from('garbage'),
      data.subarray(0, 200),
      data.subarray(data.length - 80),
    ]) {
      const {sid, data: whole} = await leave()
      writeFileSync(dataFile(sid), Buffer.concat([whole, tail]))
      const store = await openStore(directory)
      await store.complete(sid, reason)
      expect(await look(store, sid)).toMatchObject({
        verdict: {result: 'verified', chunks: 4, truncated: reason},
        text: 'one two three ',
      })
    }
  })

  it('ends the same wherever it was cut off itself', async () => {
    const {sid, data, index} = await leave()
    const store = await openStore(directory)
    await store.complete(sid, reason)
    const sealed = {data: readFileSync(dataFile(sid)), index: readFileSync(indexFile(sid))}
    const states = [
      ...Array.from({length: sealed.data.length - data.length}, (_, i) => [data.length + i, index.length]),
      ...Array.from({length: sealed.index.length - index.length}, (_, i) => [
        sealed.data.length,
        index.length + i,
      ]),
    ]
    for (const [dataSize, indexSize] of states) {
      writeFileSync(dataFile(sid), sealed.data.subarray(0, dataSize))
      writeFileSync(indexFile(sid), sealed.index.subarray(0, indexSize))
      await (await openStore(directory)).complete(sid, reason)
      expect(readFileSync(dataFile(sid))).toEqual(sealed.data)
      expect(readFileSync(indexFile(sid))).toEqual(sealed.index)
    }
  })

  it('keeps the end that the session had when only its line of the index is missing', async () => {
    const facts = meta()
    const writing = await openStore(directory)
    const writer = createRecordingWriter({meta: facts, sink: writing})
    writer.output(Buffer.from('all of it'))
    const {head} = await writer.end()
    const {sid} = facts
    const index = readFileSync(indexFile(sid))
    truncateSync(indexFile(sid), index.lastIndexOf(0x0a, index.length - 2) + 1)
    const store = await openStore(directory)
    const done = await store.complete(sid, reason)
    expect(done?.end.head).toBe(head)
    expect(done?.end).not.toHaveProperty('truncated')
    expect(readFileSync(indexFile(sid))).toEqual(index)
    expect(await look(store, sid)).toMatchObject({verdict: {result: 'verified'}, end: 'sealed'})
  })

  it('does not believe an end that it would not have signed', async () => {
    const {sid, data} = await leave()
    const store = await openStore(directory)
    await store.complete(sid, reason)
    const index = readFileSync(indexFile(sid))
    const lines = index.toString().split('\n')
    const {end} = JSON.parse(lines.at(-2) ?? '')
    delete end.truncated
    const forged = gzipSync(`[0.3,"x-seal",${JSON.stringify(JSON.stringify(end))}]\n`)
    writeFileSync(dataFile(sid), Buffer.concat([data, forged]))
    writeFileSync(indexFile(sid), `${lines.slice(0, -2).join('\n')}\n`)
    const again = await openStore(directory)
    expect((await again.complete(sid, reason))?.end.truncated).toBe(reason)
    expect((await look(again, sid)).verdict).toMatchObject({result: 'verified', truncated: reason})
  })

  it('leaves a damaged one as it is and says which chunk is bad', async () => {
    const {sid, data} = await leave()
    const {chunks} = await (await openStore(directory)).readIndex(sid)
    const changed = Buffer.from(data)
    const at = (chunks[2]?.offset ?? 0) + 20
    changed.writeUInt8(changed.readUInt8(at) ^ 1, at)
    for (const [content, words] of [
      [changed, /chunk 2/],
      [data.subarray(0, -1), /less data than its index names/],
    ] as const) {
      writeFileSync(dataFile(sid), content)
      const store = await openStore(directory)
      await expect(store.complete(sid, reason)).rejects.toMatchObject({
        code: 'recording_corrupt',
        message: expect.stringMatching(words),
      })
      expect(readFileSync(dataFile(sid))).toEqual(Buffer.from(content))
    }
    rmSync(dataFile(sid))
    await expect((await openStore(directory)).complete(sid, reason)).rejects.toMatchObject({
      code: 'recording_corrupt',
    })
  })

  it('cannot have its mark of truncation taken away', async () => {
    const {sid} = await leave()
    const store = await openStore(directory)
    await store.complete(sid, reason)
    const index = await store.readIndex(sid)
    if (!index.seal) throw new Error('no seal')
    const {truncated: _, ...whole} = index.seal
    const end = index.chunks.at(-1)
    const kept = readFileSync(dataFile(sid)).subarray(0, (end?.offset ?? 0) + (end?.length ?? 0))
    const seal = gzipSync(`[0.3,"x-seal",${JSON.stringify(JSON.stringify(whole))}]\n`)
    const data = (async function* () {
      yield Buffer.concat([kept, seal])
    })()
    expect(await verifyRecording({data, keys: [keys.publicKey]})).toMatchObject({result: 'bad'})
  })
})

describe('what is left of earlier stores', () => {
  it('is what has no end or was cut short, and is not marked as damaged', async () => {
    const {sid: open} = await leave()
    const {sid: short} = await leave()
    const {sid: broken} = await leave()
    const {sid: known} = await leave()
    writeFileSync(indexFile(broken), 'garbage\n')
    const store = await openStore(directory)
    await store.complete(short, reason)
    await store.markDamaged(known, 'why')
    const facts = meta()
    const writer = createRecordingWriter({meta: facts, sink: store})
    await writer.started()
    const ended = meta()
    await createRecordingWriter({meta: ended, sink: store}).end()
    const left = async (since: string) => {
      const found: string[] = []
      for await (const sid of store.left(Date.parse(since))) found.push(sid)
      return found.sort()
    }
    expect(await left('2025-11-22T23:59:59Z')).toEqual([open, short, broken].sort())
    expect(await left('2025-11-23T00:00:00Z')).toEqual([])
    await expect(store.complete(facts.sid, reason)).rejects.toMatchObject({code: 'unavailable'})
    expect(store.oldestUnsealed()).toBe(Date.parse('2025-11-21T12:00:00Z'))
    await writer.end()
    expect(store.oldestUnsealed()).toBeUndefined()
    expect(statSync(dataFile(open)).size).toBeGreaterThan(0)
  })

  it('is nothing where a recording could not be begun', async () => {
    const {sid} = await leave()
    rmSync(indexFile(sid))
    const store = await openStore(directory)
    expect(await store.complete(sid, reason)).toBeUndefined()
  })
})
