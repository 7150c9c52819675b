import fc from 'fast-check'
import {describe, expect, it} from 'vitest'
import {createEncoder, eventLine, headerLine} from '../../../../src/lib/recording/format/asciicast.js'
import {EVENT_BYTES} from '../../../../src/lib/recording/limits.js'
import {meta, readAll, wire} from '../support.js'

const parse = (lines: string) =>
  lines
    .trimEnd()
    .split('\n')
    .map(line => JSON.parse(line))

describe('the header', () => {
  it('is asciicast v2 with our facts beside', () => {
    const facts = meta({
      sid: '11111111-2222-4333-8444-555555555555',
      term: 'xterm-256color',
      command: 'ls -l',
    })
    expect(JSON.parse(headerLine(facts))).toEqual({
      version: 2,
      width: 80,
      height: 24,
      timestamp: 1763726400,
      title: 'joe: root@web1',
      env: {TERM: 'xterm-256color'},
      command: 'ls -l',
      sallyport: {
        format: 1,
        sid: facts.sid,
        cluster: 'c1',
        user: 'joe',
        login: 'root',
        host: 'web1',
        address: '10.0.0.7:22',
        startedAt: 1763726400000,
        interactive: true,
      },
    })
  })
})

describe('encoding output', () => {
  it('writes one line an event, seconds to the millisecond', () => {
    const encoder = createEncoder()
    expect(encoder.output(1234.4, Buffer.from('hi "x"\r\n\u001b[1m'))).toBe(
      '[1.234,"o","hi \\"x\\"\\r\\n\\u001b[1m"]\n',
    )
    expect(encoder.resize(2000, 100, 30)).toBe('[2,"r","100x30"]\n')
    expect(encoder.marker(2000, 'here')).toBe('[2,"m","here"]\n')
  })

  it('carries the start of a character over to the next read', () => {
    const encoder = createEncoder()
    const bytes = Buffer.from('a€😀')
    expect(parse(encoder.output(0, bytes.subarray(0, 2)))).toEqual([[0, 'o', 'a']])
    expect(encoder.output(1, bytes.subarray(2, 3))).toBe('')
    expect(parse(encoder.output(2, bytes.subarray(3, 6)))).toEqual([[0.002, 'o', '€']])
    expect(parse(encoder.output(3, bytes.subarray(6)))).toEqual([[0.003, 'o', '😀']])
    expect(encoder.flush(4)).toBe('')
  })

  it('gives a character that never ends as its bytes, at the end and at a resize', () => {
    const encoder = createEncoder()
    expect(encoder.output(0, Buffer.from([0xe2, 0x82]))).toBe('')
    expect(parse(encoder.resize(5, 90, 30))).toEqual([
      [0.005, 'o', '\ufffd'],
      [0.005, 'x-bytes', Buffer.from([0xe2, 0x82]).toString('base64')],
      [0.005, 'r', '90x30'],
    ])
    encoder.output(6, Buffer.from([0xf0]))
    expect(parse(encoder.flush(7))).toHaveLength(2)
  })

  it('keeps invalid bytes beside the text that stands for them', () => {
    const bytes = Buffer.from([0x61, 0xff, 0xc0, 0x80, 0x62])
    expect(parse(createEncoder().output(0, bytes))).toEqual([
      [0, 'o', bytes.toString('utf8')],
      [0, 'x-bytes', bytes.toString('base64')],
    ])
  })

  it('keeps what is no text in its exact bytes alone, where no terminal shows it', () => {
    const archive = Buffer.from(Array.from({length: 512}, (_, i) => (i * 73) % 256).concat(0x61))
    expect(parse(createEncoder({terminal: false}).output(0, archive))).toEqual([
      [0, 'o', ''],
      [0, 'x-bytes', archive.toString('base64')],
    ])
    const [[, , shown]] = parse(createEncoder().output(0, archive)) as [[number, string, string]]
    expect(shown.length).toBeGreaterThan(256)
    for (const words of ['na\xefve caf\xe9\r\n\x1b[1m', 'a\0b\0', 'a\0\xff\n'].map(one =>
      Buffer.from(one, 'latin1'),
    )) {
      const [[, , text]] = parse(createEncoder({terminal: false}).output(0, words)) as [
        [number, string, string],
      ]
      expect(text).toBe(words.toString('utf8').replaceAll('\0', ''))
    }
  })

  it('keeps NULs in the exact bytes alone, where they do not take six bytes each', () => {
    const bytes = Buffer.from('a\0b\0')
    expect(parse(createEncoder().output(5, bytes))).toEqual([
      [0.005, 'o', 'ab'],
      [0.005, 'x-bytes', bytes.toString('base64')],
    ])
    const zeros = createEncoder().output(5, Buffer.alloc(EVENT_BYTES))
    expect(zeros.length).toBeLessThan(EVENT_BYTES * 1.5)
  })

  it('tells stderr apart and keeps the order of both streams', () => {
    const encoder = createEncoder()
    const lines =
      encoder.output(0, Buffer.from([0x61, 0xe2]), 'stdout') +
      encoder.output(1, Buffer.from('e'), 'stderr') +
      encoder.output(2, Buffer.from([0x82, 0xac]), 'stdout')
    expect(parse(lines).map(([, code]) => code)).toEqual([
      'o',
      'o',
      'x-bytes',
      'o',
      'x-stderr',
      'o',
      'x-bytes',
    ])
  })

  it('turns sizes that are none into ones that can be played', () => {
    const encoder = createEncoder()
    expect(parse(encoder.resize(0, 2 ** 31, 0))).toEqual([[0, 'r', '10000x24']])
    expect(parse(encoder.resize(0, Number.NaN, -1))).toEqual([[0, 'r', '80x24']])
  })

  it('keeps events within their size', () => {
    const lines = parse(createEncoder().output(0, Buffer.alloc(EVENT_BYTES * 3 + 1, 'x')))
    expect(lines.map(([, , text]) => text.length)).toEqual([EVENT_BYTES, EVENT_BYTES, EVENT_BYTES, 1])
    const wide = parse(createEncoder().output(0, Buffer.from('€'.repeat(EVENT_BYTES))))
    expect(wide.every(([, code]) => code === 'o')).toBe(true)
  })

  it('does not depend on the buffer after the call', async () => {
    const encoder = createEncoder()
    const buffer = Buffer.from('€').subarray(0, 2)
    encoder.output(0, buffer)
    buffer.fill(0)
    expect(parse(encoder.output(1, Buffer.from('€').subarray(2)))).toEqual([[0.001, 'o', '€']])
  })

  it('gives back exactly the bytes, however they were cut and whatever they are', async () => {
    const piece = fc.oneof(
      fc.uint8Array({maxLength: 40}),
      fc.string({unit: 'binary', maxLength: 20}).map(text => new Uint8Array(Buffer.from(text))),
    )
    const write = fc.tuple(piece, fc.constantFrom('stdout' as const, 'stderr' as const), fc.boolean())
    await fc.assert(
      fc.asyncProperty(fc.array(write, {maxLength: 20}), async writes => {
        const encoder = createEncoder()
        const header = headerLine(meta())
        let lines = ''
        writes.forEach(([bytes, stream, resized], i) => {
          lines += encoder.output(i, bytes, stream)
          if (resized) lines += encoder.resize(i, 80 + i, 24)
        })
        lines += encoder.flush(writes.length)
        const {events} = await readAll(Buffer.from(header + lines))
        expect(wire(events)).toEqual(Buffer.concat(writes.map(([bytes]) => bytes)))
        for (const wanted of ['stdout', 'stderr'] as const)
          expect(wire(events, wanted)).toEqual(
            Buffer.concat(writes.flatMap(([bytes, stream]) => (stream === wanted ? [bytes] : []))),
          )
      }),
      {numRuns: 300},
    )
  })
})

describe('an event line', () => {
  it('never holds a line break', () => {
    fc.assert(
      fc.property(fc.string({unit: 'binary'}), text => {
        expect(eventLine(0, 'o', text).indexOf('\n')).toBe(eventLine(0, 'o', text).length - 1)
      }),
    )
  })
})
