import fc from 'fast-check'
import {describe, expect, it} from 'vitest'
import {createRecordingWriter, type RecordingSink} from '../../../../src/lib/recording/index.js'
import {createRelease, type Release} from '../../../../src/lib/session/withheld/release.js'
import {meta, readAll, wire} from '../../recording/support.js'
import {settle} from '../../ssh/fixture.js'

/** A store that takes a chunk only when it is told to. */
function slowStore() {
  const kept: Buffer[] = []
  const waiting: (() => void)[] = []
  let broken: Error | undefined
  let isOpen = true
  const sink: RecordingSink = {
    begin: async () => undefined,
    async append(_sid, chunk) {
      if (!isOpen) await new Promise<void>(resolve => waiting.push(resolve))
      if (broken) throw broken
      kept.push(chunk.data)
    },
    seal: async () => undefined,
  }
  const letGo = (): void => {
    for (const resolve of waiting.splice(0)) resolve()
  }
  return {
    sink,
    recorded: async (): Promise<Buffer> => wire((await readAll(Buffer.concat(kept))).events),
    close: () => {
      isOpen = false
    },
    open() {
      isOpen = true
      letGo()
    },
    break() {
      broken = new Error('no room')
      isOpen = true
      letGo()
    },
  }
}

async function session() {
  const store = slowStore()
  const writer = createRecordingWriter({meta: meta(), sink: store.sink, prompt: true})
  await writer.started()
  const release = createRelease(() => writer)
  return {store, writer, release}
}

/** Both streams of it; what they deliver is kept as the user would see it. */
function streams(release: Release) {
  const seen: string[] = []
  const shown: string[] = []
  const open = (name: 'stdout' | 'stderr') =>
    release.withhold(name, (lent, onRecord) => {
      seen.push(`${name === 'stderr' ? '!' : ''}${lent.toString('latin1')}`)
      shown.push(onRecord.toString('latin1'))
      // It was lent.
      lent.fill('#')
    })
  const give = (stream: ReturnType<typeof open>, text: string, content?: string) => {
    const chunk = Buffer.from(text, 'latin1')
    const hold = stream.output(chunk, content === undefined ? chunk : Buffer.from(content, 'latin1'))
    chunk.fill('#')
    return hold
  }
  return {seen, shown, stdout: open('stdout'), stderr: open('stderr'), give}
}

describe('withheld output', () => {
  it('is delivered when the recording has it, and not before', async () => {
    const {store, release} = await session()
    const {seen, stdout, give} = streams(release)
    store.close()
    give(stdout, 'on record')
    await settle()
    expect(seen).toEqual([])
    store.open()
    await stdout.flush()
    expect(seen).toEqual(['on record'])
    expect((await store.recorded()).toString()).toBe('on record')
  })

  it('is at any moment no more than the beginning of what is recorded, whatever is written and when the store fails', async () => {
    const words = fc.array(
      fc.record({
        stderr: fc.boolean(),
        bytes: fc.oneof(
          fc.uint8Array({minLength: 1, maxLength: 5}),
          fc.string({minLength: 1, maxLength: 8, unit: 'grapheme'}).map(text => Buffer.from(text)),
          fc.uint8Array({minLength: 40_000, maxLength: 90_000}),
        ),
        after: fc.constantFrom('nothing', 'turn', 'close', 'open'),
      }),
      {minLength: 1, maxLength: 20},
    )
    await fc.assert(
      fc.asyncProperty(words, fc.boolean(), async (given, fails) => {
        const {store, release} = await session()
        const delivered: Buffer[] = []
        const take = (lent: Buffer) => void delivered.push(Buffer.from(lent))
        const open = {stdout: release.withhold('stdout', take), stderr: release.withhold('stderr', take)}
        const written: Buffer[] = []
        const holds = async (): Promise<void> => {
          const before = Buffer.concat(delivered)
          const recorded = await store.recorded()
          expect(recorded.subarray(0, before.length).equals(before)).toBe(true)
        }
        for (const {stderr, bytes, after} of given) {
          const chunk = Buffer.from(bytes)
          written.push(Buffer.from(chunk))
          open[stderr ? 'stderr' : 'stdout'].output(chunk, chunk)
          chunk.fill(0)
          if (after === 'turn') await settle(3)
          if (after === 'close' || after === 'open') store[after]()
          await holds()
        }
        if (fails) store.break()
        else store.open()
        await Promise.all([open.stdout.flush(), open.stderr.flush()])
        await holds()
        if (!fails) expect(Buffer.concat(delivered).equals(Buffer.concat(written))).toBe(true)
      }),
      {numRuns: 40},
    )
  })

  it('keeps the order of both streams', async () => {
    const {store, release} = await session()
    const {seen, stdout, stderr, give} = streams(release)
    store.close()
    give(stdout, 'one')
    give(stderr, 'two')
    give(stdout, 'three')
    give(stdout, 'four')
    store.open()
    await Promise.all([stdout.flush(), stderr.flush()])
    expect(seen).toEqual(['one', '!two', 'threefour'])
  })

  it('waits for the rest of a character, and for its end at the end', async () => {
    const {store, release} = await session()
    const {seen, stdout, give} = streams(release)
    give(stdout, 'price: \xe2\x82')
    await expect.poll(() => seen.join('')).toBe('price: ')
    give(stdout, '\xac 5\xe2')
    await expect.poll(() => seen.join('')).toBe('price: \xe2\x82\xac 5')
    await stdout.flush()
    expect(seen.join('')).toBe('price: \xe2\x82\xac 5\xe2')
    expect((await store.recorded()).toString('latin1')).toBe(seen.join(''))
  })

  it('is none any more once the recording has failed', async () => {
    const {store, writer, release} = await session()
    const {seen, stdout, give} = streams(release)
    give(stdout, 'on record')
    await stdout.flush()
    store.close()
    give(stdout, 'in no recording')
    await settle()
    store.break()
    await stdout.flush()
    expect(writer.failed).toMatchObject({code: 'recording_unavailable'})
    expect(give(stdout, 'nor that')).toBe(false)
    await settle()
    expect(seen).toEqual(['on record'])
  })

  it('holds its source back at two megabytes, and lets it go on at one', async () => {
    const {store, release} = await session()
    const {stdout, give} = streams(release)
    store.close()
    const piece = 'x'.repeat(32 * 1024)
    let pieces = 1
    while (give(stdout, piece) === undefined) pieces++
    expect(pieces).toBeGreaterThan(60)
    expect(pieces).toBeLessThan(70)
    const hold = give(stdout, piece)
    store.open()
    await hold
    await stdout.flush()
    expect(give(stdout, piece)).toBeUndefined()
  })

  it('counts what a piece costs besides its bytes', async () => {
    const {store, release} = await session()
    const {stdout, stderr, give} = streams(release)
    store.close()
    let pieces = 1
    while (give(pieces % 2 === 0 ? stdout : stderr, 'x') === undefined) pieces++
    expect(pieces).toBeLessThan(20_000)
    store.open()
  })

  it('lets the content of files pass at once, and never before what was there first', async () => {
    const {store, release} = await session()
    const {seen, shown, stdout, give} = streams(release)
    give(stdout, 'content', '')
    expect(seen).toEqual(['content'])
    store.close()
    give(stdout, 'a word')
    give(stdout, 'with content', 'with ')
    give(stdout, 'content alone', '')
    await settle()
    expect(seen).toEqual(['content'])
    store.open()
    await stdout.flush()
    expect(seen.slice(1)).toEqual(['a word', 'with content', 'content alone'])
    expect(shown.slice(1)).toEqual(['a word', 'with ', ''])
    expect((await store.recorded()).toString()).toBe('a wordwith ')
  })

  it('is still delivered when the session has come to its end, and nothing after it', async () => {
    const {store, writer, release} = await session()
    const {seen, stdout, give} = streams(release)
    store.close()
    give(stdout, 'before')
    release.close()
    expect(give(stdout, 'after')).toBe(false)
    store.open()
    await writer.end()
    await stdout.flush()
    expect(seen).toEqual(['before'])
  })
})
