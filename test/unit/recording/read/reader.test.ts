import {execFileSync} from 'node:child_process'
import {writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {gzipSync} from 'node:zlib'
import fc from 'fast-check'
import {beforeAll, describe, expect, it} from 'vitest'
import {SallyportError} from '../../../../src/lib/errors/index.js'
import {LINE_BYTES} from '../../../../src/lib/recording/limits.js'
import {temporaryDirectory} from '../../../support/temporary-directory.js'
import {collect, openStore, readAll, record, wire} from '../support.js'

const header = '{"version":2,"width":80,"height":24}\n'
let recording: Buffer
let file: string

beforeAll(async () => {
  const directory = temporaryDirectory()
  const store = await openStore(directory)
  const sid = await record(store, async (writer, wait) => {
    for (let i = 0; i < 4; i += 1) {
      writer.output(Buffer.from(`line ${i} ünï\r\n`))
      wait(250)
      await writer.flush()
    }
    writer.output(Buffer.from([0x61, 0xff, 0x0d, 0x0a]))
    writer.output(Buffer.from('err\r\n'), 'stderr')
    writer.resize(100, 30)
    writer.marker('here')
  })
  recording = await collect((await store.open(sid)).data)
  file = join(directory, '2025-11-21', `${sid}.cast.gz`)
})

describe('reading', () => {
  it('gives every event with its exact bytes', async () => {
    const {header: first, events, end} = await readAll(recording)
    expect(first).toMatchObject({width: 80, height: 24, title: 'joe: root@web1', own: {user: 'joe'}})
    expect(events.slice(-4)).toEqual([
      {
        kind: 'output',
        timeMs: 1000,
        text: 'a\ufffd\r\n',
        stream: 'stdout',
        bytes: Buffer.from([0x61, 0xff, 0x0d, 0x0a]),
      },
      {kind: 'output', timeMs: 1000, text: 'err\r\n', stream: 'stderr'},
      {kind: 'resize', timeMs: 1000, columns: 100, rows: 30},
      {kind: 'marker', timeMs: 1000, label: 'here'},
    ])
    expect(end).toBe('sealed')
  })

  it('plays any prefix up to where it was cut, and says how it ends', async () => {
    const whole = wire((await readAll(recording)).events)
    const lengths = new Set<number>()
    for (let cut = 1; cut < recording.length; cut += 1) {
      const outcome = await readAll(recording.subarray(0, cut)).catch((error: unknown) => error)
      if (outcome instanceof Error) {
        expect(outcome).toMatchObject({code: 'recording_corrupt'})
        expect(cut).toBeLessThan(400)
        continue
      }
      const {events, end} = outcome as Awaited<ReturnType<typeof readAll>>
      const bytes = wire(events)
      expect(whole.subarray(0, bytes.length).equals(bytes)).toBe(true)
      expect(end).not.toBe('sealed')
      lengths.add(bytes.length)
    }
    expect(lengths.size).toBeGreaterThan(4)
  })

  it('reads plain asciicasts of other programs, with and without a last line break', async () => {
    const events = '[0.5,"o","a"]\n[1,"i","typed"]\n[1.5,"o","b"]'
    for (const text of [`${header}${events}`, `${header}${events}\n`]) {
      const read = await readAll(Buffer.from(text))
      expect(read.events.map(event => event.timeMs)).toEqual([500, 1500])
      expect(read.end).toBe('open')
    }
    expect(await readAll(gzipSync(header + events))).toMatchObject({
      end: 'open',
      events: [{text: 'a'}, {text: 'b'}],
    })
    expect(await readAll(Buffer.from(`${header}[0.5,"o","a"]\n[1,"o","cu`))).toMatchObject({
      end: 'cut',
      events: [{text: 'a'}],
    })
  })

  it('refuses other files, other versions and lines that are no events', async () => {
    for (const text of ['', 'hello\n', '{"version":1}\n', '{"version":3,"term":{}}\n', '[]\n', 'null\n'])
      await expect(readAll(Buffer.from(text))).rejects.toMatchObject({code: 'recording_corrupt'})
    for (const line of [
      '{}',
      '[1]',
      '["1","o","x"]',
      '[-1,"o","x"]',
      '[1e99,"o","x"]',
      '[1,"o",5]',
      '[1,"r","8x"]',
      'x',
    ])
      await expect(readAll(Buffer.from(`${header}${line}\n`))).rejects.toMatchObject({
        code: 'recording_corrupt',
      })
  })

  it('refuses a line beyond its bound, before all of it is there', async () => {
    async function* endless() {
      yield Buffer.from(header)
      for (let i = 0; ; i += 1) {
        if (i > LINE_BYTES / 1000 + 2000) throw new Error('read on')
        yield Buffer.alloc(1000, 'x')
      }
    }
    const {readCast} = await import('../../../../src/lib/recording/read/reader.js')
    const cast = await readCast(endless())
    await expect(
      (async () => {
        for await (const _ of cast.events);
      })(),
    ).rejects.toMatchObject({code: 'recording_corrupt'})
  })

  it('never fails but with a coded error, whatever it is fed', async () => {
    const line = fc.oneof(
      fc.json(),
      fc.string(),
      fc
        .tuple(
          fc.double(),
          fc.constantFrom('o', 'r', 'm', 'x-bytes', 'x-stderr', 'x-seal', 'x-chain'),
          fc.string(),
        )
        .map(event => JSON.stringify(event)),
    )
    await fc.assert(
      fc.asyncProperty(
        fc.array(line, {maxLength: 10}),
        fc.boolean(),
        fc.boolean(),
        async (lines, zipped, headed) => {
          const text = (headed ? header : '') + lines.join('\n')
          const outcome = await readAll(zipped ? gzipSync(text) : Buffer.from(text)).catch(
            (error: unknown) => error,
          )
          if (outcome instanceof Error) expect(outcome).toBeInstanceOf(SallyportError)
        },
      ),
      {numRuns: 300},
    )
    await fc.assert(
      fc.asyncProperty(
        fc.nat({max: recording.length - 1}),
        fc.integer({min: 1, max: 255}),
        async (at, flip) => {
          const bad = Buffer.from(recording)
          bad[at] = (bad[at] ?? 0) ^ flip
          const outcome = await readAll(bad).catch((error: unknown) => error)
          if (outcome instanceof Error) expect(outcome).toBeInstanceOf(SallyportError)
        },
      ),
      {numRuns: 300},
    )
  })
})

describe('other programs', () => {
  it('zcat gives lines of JSON', () => {
    const lines = execFileSync('zcat', [file]).toString().trimEnd().split('\n')
    expect(lines.map(line => JSON.parse(line)).length).toBeGreaterThan(8)
  })

  it('asciinema prints what was shown', () => {
    const shown = execFileSync('script', ['-qec', `sh -c "zcat ${file} | asciinema cat -"`, '/dev/null'], {
      input: '',
    }).toString()
    expect(shown).toBe('line 0 ünï\r\nline 1 ünï\r\nline 2 ünï\r\nline 3 ünï\r\na\ufffd\r\nerr\r\n')
  })

  it('is a file that can be read while it is written', async () => {
    const partial = join(temporaryDirectory(), 'live.cast.gz')
    writeFileSync(partial, recording.subarray(0, recording.length - 300))
    expect(execFileSync('sh', ['-c', `zcat ${partial} 2>/dev/null | head -1`]).toString()).toContain(
      '"version":2',
    )
  })
})
