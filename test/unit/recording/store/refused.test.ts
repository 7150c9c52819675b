import {join} from 'node:path'
import {gzipSync} from 'node:zlib'
import {beforeEach, describe, expect, it} from 'vitest'
import {checkChunk, emptyChain} from '../../../../src/lib/recording/evidence/chunk.js'
import {verifyRecording} from '../../../../src/lib/recording/evidence/verify.js'
import {eventLine, headerLine} from '../../../../src/lib/recording/format/asciicast.js'
import {chainDigest, GENESIS} from '../../../../src/lib/recording/format/chain.js'
import type {RecordingChunk, RecordingMeta, RecordingStore} from '../../../../src/lib/recording/index.js'
import {LINE_BYTES, MEMBER_BYTES} from '../../../../src/lib/recording/limits.js'
import {chunkAfter, chunksOf, endOf, linkTo} from '../../../support/chunks.js'
import {temporaryDirectory} from '../../../support/temporary-directory.js'
import {keys, meta, openStore} from '../support.js'

let store: RecordingStore
let facts: RecordingMeta

beforeEach(async () => {
  store = await openStore(join(temporaryDirectory(), 'recordings'))
  facts = meta()
  await store.begin(facts)
})

/** The recording as whoever reads it finds it: verified in every case, whatever was sent. */
async function kept(sid = facts.sid) {
  const {data, summary} = await store.open(sid)
  const index = await store.readIndex(sid)
  const verdict = await verifyRecording({data, keys: [keys.publicKey], index, sid})
  return {verdict, state: summary.state, truncated: index.seal?.truncated}
}

const first = () => chunkAfter(undefined, headerLine(facts))
/** A chunk from 10 to 20 ms with these lines after its link. */
const second = (lines: string, times = {firstMs: 10, lastMs: 20}) =>
  chunkAfter(first(), linkTo(first(), 10) + lines, times)
const line = (timeMs = 20, text = 'x') => eventLine(timeMs, 'o', text)

const headers: [string, () => RecordingChunk, RegExp][] = [
  ['no JSON', () => chunkAfter(undefined, 'garbage\n'), /is none: a line of the recording is not/],
  ['no line', () => chunkAfter(undefined, headerLine(facts).trim()), /does not end with a line/],
  ['nothing', () => chunkAfter(undefined, ''), /does not end with a line/],
  ['another format', () => chunkAfter(undefined, '{"version":3}\n'), /not an asciicast of version 2/],
  [
    'a cast of another program',
    () => chunkAfter(undefined, '{"version":2}\n'),
    /not the header of a recording/,
  ],
  ['another session', () => chunkAfter(undefined, headerLine(meta())), /of another session/],
  [
    'a session of escapes',
    () => chunkAfter(undefined, headerLine({...facts, sid: '\u001b]0;x\u0007'})),
    /is none: it is of another session$/,
  ],
  [
    'another user',
    () => chunkAfter(undefined, headerLine({...facts, user: 'eve'})),
    /begins with other facts/,
  ],
  [
    'another start',
    () => chunkAfter(undefined, headerLine({...facts, startedAt: 1})),
    /begins with other facts/,
  ],
  ['other times', () => ({...first(), lastMs: 5}), /other times/],
  ['more than the header', () => chunkAfter(undefined, headerLine(facts) + line(0)), /more than the header/],
  [
    'too long a line',
    () => chunkAfter(undefined, headerLine({...facts, command: 'x'.repeat(LINE_BYTES)})),
    /a line of it is too long/,
  ],
]

const seal = (): string =>
  eventLine(10, 'x-seal', JSON.stringify({...endOf(facts, [first()]), signature: 'AAAA'}))

const chunks: [string, () => RecordingChunk, RegExp][] = [
  [
    'no link',
    () => chunkAfter(first(), line(10) + line(), {firstMs: 10, lastMs: 20}),
    /does not name the chunk/,
  ],
  [
    'a link to another number',
    () =>
      chunkAfter(first(), eventLine(10, 'x-chain', `7 ${first().digest}`) + line(), {
        firstMs: 10,
        lastMs: 20,
      }),
    /chunk 7 is in its place/,
  ],
  [
    'a link to another chunk',
    () => chunkAfter(first(), eventLine(10, 'x-chain', `1 ${GENESIS}`) + line(), {firstMs: 10, lastMs: 20}),
    /names another chunk before it/,
  ],
  [
    'a number of escapes',
    () => chunkAfter(first(), eventLine(10, 'x-chain', '\u001b[2J x') + line(), {firstMs: 10, lastMs: 20}),
    /is none: its number is none$/,
  ],
  ['lines that are no events', () => second(`nonsense\n${line()}`), /not an asciicast event/],
  ['an event of the wrong shape', () => second(`[1,2,3]\n${line()}`), /not an asciicast event/],
  ['an empty line', () => second(`\n${line()}`), /not an asciicast event/],
  ['a line that is not ended', () => second(`${line()}[0.02,"o","`), /does not end with a line/],
  ['a terminal of no size', () => second(eventLine(20, 'r', 'wide')), /a terminal size that is none/],
  ['too long a line', () => second(line(20, 'x'.repeat(LINE_BYTES))), /a line of it is too long/],
  ['times that go backwards', () => second(line(15) + line(12) + line()), /times go backwards/],
  ['other times than it says', () => second(line(19)), /other times/],
  ['times before its own', () => second(line(), {firstMs: 9, lastMs: 20}), /other times/],
  ['a seal of its own making', () => chunkAfter(first(), seal(), {firstMs: 10, lastMs: 10}), /is a seal/],
  ['a seal among its events', () => second(seal() + line()), /a link or a seal among its events/],
  ['no gzip at all', () => raw(Buffer.from('not gzip at all')), /is not a gzip member/],
  ['two members', () => raw(Buffer.concat([gzipSync('a'), gzipSync('b')])), /not exactly one gzip member/],
  ['half a member', () => raw(gzipSync('abcdefgh').subarray(0, 12)), /not exactly one gzip member/],
  ['a bomb', () => raw(gzipSync(Buffer.alloc(64 * 1024 * 1024))), /damaged or too large/],
  ['more bytes than a chunk has', () => raw(Buffer.alloc(MEMBER_BYTES + 1)), /empty or too large/],
  ['nothing', () => raw(Buffer.alloc(0)), /empty or too large/],
  ['a gap', () => ({...second(line()), sequence: 3}), /came where chunk 1 is due/],
  [
    'a digest of its own',
    () => ({...second(line()), digest: 'ab'.repeat(32)}),
    /does not continue the chain/,
  ],
  ['impossible times', () => ({...second(line()), firstMs: Number.NaN}), /impossible times/],
  ['times that are none', () => ({...second(line()), lastMs: -1}), /impossible times/],
]

function raw(data: Buffer): RecordingChunk {
  return {sequence: 1, firstMs: 10, lastMs: 20, data, digest: chainDigest(first().digest, data)}
}

describe('a chunk that another machine sends', () => {
  it.each(headers)('first, with %s, is not kept: the recording is without it', async (_, bad, why) => {
    const sent = bad()
    await expect(store.append(facts.sid, sent)).rejects.toMatchObject({
      ...{code: 'invalid_input', message: expect.stringMatching(why)},
    })
    expect(await kept()).toMatchObject({
      ...{state: 'truncated', truncated: expect.stringMatching(why)},
      verdict: {result: 'verified', chunks: 1},
    })
  })

  it.each(chunks)('later, with %s, is not kept: the recording ends before it', async (_, bad, why) => {
    await store.append(facts.sid, first())
    await expect(store.append(facts.sid, bad())).rejects.toMatchObject({
      ...{code: 'invalid_input', message: expect.stringMatching(why)},
    })
    const ended = {
      ...{state: 'truncated', truncated: expect.stringMatching(why)},
      verdict: {result: 'verified', chunks: 1, head: first().digest},
    }
    expect(await kept()).toMatchObject(ended)
    // There is no way on, and nothing changes any more.
    await expect(store.append(facts.sid, second(line()))).rejects.toMatchObject({code: 'invalid_input'})
    await store.seal(facts.sid, {...endOf(facts, [first()]), truncated: 'the machine says so'})
    expect(await kept()).toMatchObject(ended)
  })

  it('is kept where it is sound, and verified to the last line', async () => {
    const all = chunksOf(facts, 5)
    for (const chunk of all) await store.append(facts.sid, chunk)
    await store.seal(facts.sid, endOf(facts, all))
    expect(await kept()).toMatchObject({state: 'sealed', verdict: {result: 'verified', chunks: 5}})
  })

  it.each([
    ['other chunks', {chunks: 2}],
    ['another head', {head: GENESIS}],
    ['no chunks', {chunks: 0, head: GENESIS}],
    ['an end before its last output', {durationMs: 44, endedAt: meta().startedAt + 44}],
    ['an end at another time', {endedAt: 5}],
  ])('is sealed as far as it came where its end is of %s', async (_, changes) => {
    const all = chunksOf(facts, 5)
    for (const chunk of all) await store.append(facts.sid, chunk)
    await expect(store.seal(facts.sid, {...endOf(facts, all), ...changes})).rejects.toMatchObject({
      code: 'invalid_input',
    })
    expect(await kept()).toMatchObject({state: 'truncated', verdict: {result: 'verified', chunks: 5}})
  })

  it('that says so keeps the name by which a node called itself, in the header alone', async () => {
    const told = meta({host: 'web1', toldHost: 'Web1.'})
    await store.begin(told)
    const {toldHost: _, ...named} = told
    const header = chunkAfter(undefined, headerLine({...named, host: 'Web1.'}))
    await store.append(told.sid, header)
    await store.seal(told.sid, endOf(told, [header]))
    expect(await kept(told.sid)).toMatchObject({verdict: {result: 'verified'}})
    const listed = (await store.list({host: 'web1'})).find(({sid}) => sid === told.sid)
    expect(listed).not.toHaveProperty('toldHost')
    const cut = meta({host: 'web1', toldHost: 'Web1.'})
    await store.begin(cut)
    await store.seal(cut.sid, {...endOf(cut, []), truncated: 'lost'})
    expect(await kept(cut.sid)).toMatchObject({verdict: {result: 'verified'}})
  })

  it('does not keep others waiting, however many lines it has', async () => {
    const link = linkTo(first(), 10)
    const short = line(20, '')
    const content = Buffer.from(link + short.repeat(Math.floor((MEMBER_BYTES - link.length) / short.length)))
    const state = {...emptyChain(), sid: facts.sid, chunks: 1, head: first().digest}
    let turns = 0
    let done = false
    const others = (): void => {
      turns += 1
      if (!done) setImmediate(others)
    }
    setImmediate(others)
    expect(await checkChunk(content, GENESIS, state, {})).toBeUndefined()
    done = true
    expect(turns).toBeGreaterThan(20)
  })
})
