import {generateKeyPairSync} from 'node:crypto'
import {gunzipSync, gzipSync} from 'node:zlib'
import {beforeAll, describe, expect, it} from 'vitest'
import {signRecordingHead, verifyRecordingHead} from '../../../../src/lib/recording/evidence/signature.js'
import {type RecordingVerdict, verifyRecording} from '../../../../src/lib/recording/evidence/verify.js'
import type {RecordingIndex} from '../../../../src/lib/recording/format/index-file.js'
import {temporaryDirectory} from '../../../support/temporary-directory.js'
import {collect, keys, openStore, pieces, record} from '../support.js'

let sid: string
let data: Buffer
let index: RecordingIndex
/** The chunks, and after them the member with the seal. */
let members: Buffer[]

async function recorded(label: string) {
  const store = await openStore(temporaryDirectory())
  const id = await record(store, async (writer, wait) => {
    for (let i = 1; i < 6; i += 1) {
      writer.output(Buffer.from(`${label} ${i} `.repeat(20)))
      wait(100)
      await writer.flush()
    }
  })
  return {id, data: await collect((await store.open(id)).data), index: await store.readIndex(id)}
}

const split = (bytes: Buffer, {chunks}: RecordingIndex): Buffer[] => {
  const ends = chunks.map(({offset, length}) => offset + length)
  return [
    ...chunks.map(({offset, length}) => bytes.subarray(offset, offset + length)),
    bytes.subarray(ends.at(-1)),
  ]
}

beforeAll(async () => {
  const recording = await recorded('part')
  sid = recording.id
  data = recording.data
  index = recording.index
  members = split(data, index)
})

const check = (
  bytes: Buffer,
  options: {index?: RecordingIndex; keys?: (typeof keys.publicKey)[]; sid?: string} = {},
) => verifyRecording({data: pieces(bytes, 777), keys: [keys.publicKey], ...options})

const chunkOf = (verdict: RecordingVerdict) => (verdict.result === 'bad' ? verdict.chunk : verdict.result)

describe('verifying a recording', () => {
  it('accepts what was recorded', async () => {
    expect(await check(data, {index, sid})).toEqual({
      result: 'verified',
      sid,
      chunks: 6,
      head: index.chunks[5]?.sha256,
    })
    expect(await check(data)).toMatchObject({result: 'verified', sid, chunks: 6})
  })

  it('names the first bad chunk: changed, dropped, swapped, doubled, replaced, appended', async () => {
    const at = (i: number) => members[i] ?? Buffer.alloc(0)
    const rewritten = gzipSync(gunzipSync(at(2)).toString().replace('part', 'PART'))
    const cases: [string, Buffer[], number][] = [
      ['replaced', members.with(2, rewritten), 2],
      ['dropped', members.toSpliced(2, 1), 2],
      ['swapped', members.with(2, at(3)).with(3, at(2)), 2],
      ['doubled', members.toSpliced(3, 0, at(2)), 3],
      ['header dropped', members.slice(1), 0],
      ['last dropped', members.toSpliced(5, 1), 5],
      ['first two dropped', members.slice(2), 0],
      ['appended', [...members, gzipSync('[9,"o","forged"]\n')], 6],
      ['appended before the seal', members.toSpliced(6, 0, gzipSync('[9,"o","forged"]\n')), 6],
    ]
    for (const [name, parts, chunk] of cases) {
      const bytes = Buffer.concat(parts)
      expect([name, 'with index', chunkOf(await check(bytes, {index}))]).toEqual([name, 'with index', chunk])
      expect([name, 'alone', chunkOf(await check(bytes))]).toEqual([name, 'alone', chunk])
    }
  })

  it('detects every flipped byte, and with the index names its chunk', async () => {
    for (let at = 0; at < data.length; at += 1) {
      const bad = Buffer.from(data)
      bad[at] = (bad[at] ?? 0) ^ 0x04
      const expected = index.chunks.findIndex(({offset, length}) => at >= offset && at < offset + length)
      const verdict = await check(bad, {index})
      // The member of the seal is no chunk and not in the index: its unused header bits are nobody's claim.
      if (expected >= 0) expect([at, chunkOf(verdict)]).toEqual([at, expected])
      else if (verdict.result !== 'verified') expect([at, verdict.result]).toEqual([at, 'bad'])
    }
  })

  it('is never content with a part of it', async () => {
    for (let cut = 0; cut < data.length; cut += 1) {
      const verdict = await check(data.subarray(0, cut))
      expect([cut, verdict.result]).not.toEqual([cut, 'verified'])
    }
    const unsealed = Buffer.concat(members.slice(0, -1))
    expect(await check(unsealed)).toMatchObject({result: 'unsealed', sid, chunks: 6})
    expect(await check(unsealed, {index})).toMatchObject({result: 'bad'})
  })

  it('refuses the recording of another session, and another seal', async () => {
    const other = await recorded('other')
    expect(await check(other.data, {sid})).toMatchObject({result: 'bad', chunk: 0})
    const otherSeal = split(other.data, other.index).at(-1) ?? Buffer.alloc(0)
    expect(await check(Buffer.concat([...members.slice(0, -1), otherSeal]))).toMatchObject({
      result: 'bad',
      reason: expect.stringContaining('another recording'),
    })
  })

  it('refuses a seal that no key of the cluster signed', async () => {
    const stranger = generateKeyPairSync('ed25519').publicKey
    expect(await check(data, {keys: [stranger]})).toMatchObject({
      result: 'bad',
      reason: expect.stringContaining('not signed'),
    })
    expect(await check(data, {keys: []})).toMatchObject({result: 'bad'})
    expect(await check(data, {keys: [stranger, keys.publicKey]})).toMatchObject({result: 'verified'})
  })

  it('refuses other facts in the index than in the recording', async () => {
    expect(await check(data, {index: {...index, meta: {...index.meta, user: 'ann'}}})).toMatchObject({
      result: 'bad',
      chunk: 0,
    })
    const times = index.chunks.with(2, {...(index.chunks[2] as (typeof index.chunks)[0]), first: 0})
    expect(await check(data, {index: {...index, chunks: times}})).toMatchObject({result: 'bad', chunk: 2})
  })

  it('refuses a seal whose times were changed', async () => {
    const seal = gunzipSync(members.at(-1) ?? Buffer.alloc(0)).toString()
    const later = seal.replace(/\\"durationMs\\":\d+/, '\\"durationMs\\":9999')
    expect(later).not.toBe(seal)
    expect(await check(Buffer.concat([...members.slice(0, -1), gzipSync(later)]))).toMatchObject({
      result: 'bad',
      reason: expect.stringContaining('not signed'),
    })
  })

  it('gives damage of any kind as an answer', async () => {
    for (const bytes of ['', 'plain text', '\u001f\u008b'])
      expect((await check(Buffer.from(bytes, 'latin1'))).result).toBe('bad')
    for (const line of ['', 'x', '[1,"x-seal","{"]', '{"version":2}', '[1,"x-chain","1"]'])
      expect(
        (await check(Buffer.concat([members[0] ?? Buffer.alloc(0), gzipSync(`${line}\n`)]))).result,
      ).toBe('bad')
  })
})

describe('a signature', () => {
  it('holds for its session and digest, with Ed25519 and with P-256', () => {
    for (const pair of [keys, generateKeyPairSync('ec', {namedCurve: 'P-256'})]) {
      const signature = signRecordingHead(pair.privateKey, 'a', 'b')
      expect(verifyRecordingHead([pair.publicKey], 'a', 'b', signature)).toBe(true)
      expect(verifyRecordingHead([pair.publicKey], 'a', 'c', signature)).toBe(false)
      expect(verifyRecordingHead([pair.publicKey], 'c', 'b', signature)).toBe(false)
      expect(verifyRecordingHead([pair.publicKey], 'a', 'b', '')).toBe(false)
    }
  })
})
