import fc from 'fast-check'
import {describe, expect, test} from 'vitest'
import type {CastEvent} from '../../../../src/lib/recording/read/reader.js'
import type {ScreenLine} from '../../../../src/lib/recording/screen/lines.js'
import {readScreen} from '../../../../src/lib/recording/screen/reader.js'
import {processorTime} from '../../../support/processor-time.js'

const ESC = '\u001b'

interface Size {
  width?: number
  height?: number
  /** Absent for a session without a terminal. */
  term?: string
}

type Item = string | number | readonly [columns: number, rows: number]

/** Reads a session of texts, pauses (ms) and sizes. */
async function read(items: Item[], {width = 40, height = 10, term = 'xterm'}: Size = {}, goOn = () => true) {
  const lines: ScreenLine[] = []
  let timeMs = 0
  const events = items.flatMap((item): CastEvent[] => {
    if (typeof item === 'string') return [{kind: 'output', timeMs, text: item, stream: 'stdout'}]
    if (typeof item !== 'number') return [{kind: 'resize', timeMs, columns: item[0], rows: item[1]}]
    timeMs += item
    return []
  })
  const cast = {
    header: {width, height, ...(term !== '' && {term})},
    events: (async function* () {
      yield* events
    })(),
    end: () => 'sealed' as const,
  }
  const result = await readScreen(cast, {emit: line => lines.push(line), goOn: async () => goOn()})
  return {lines: lines.sort((a, b) => a.ms - b.ms), texts: lines.map(({text}) => text), ...result}
}

describe('text is found that is split by', () => {
  test.each([
    ['colours', [`${ESC}[31msec${ESC}[0m${ESC}[1mret${ESC}[m`]],
    ['events', ['se', 5, 'cr', 5, 'et']],
    ['a program on the alternate screen', [`sec${ESC}[?1049h${ESC}[H${ESC}[2Jvim`, 5, `${ESC}[?1049lret`]],
    ['an event inside of an escape sequence', [`sec${ESC}[3`, 5, '1mret']],
    ['backspaces', ['secxx\b\b  \b\bret']],
    ['an insertion', [`seet\b\b${ESC}[2@cr`]],
    ['a deletion', [`seXXcret\r${ESC}[2C${ESC}[2P`]],
    ['movement of the cursor', [`${ESC}[5;4Hret${ESC}[5;1Hsec`]],
    ['redrawing of a line', [`$ s\r${ESC}[K$ sec\r${ESC}[K$ secret`]],
    ['a title in between', [`sec${ESC}]0;title${ESC}\\ret`]],
    ['repetition', [`secr${ESC}[0Ke${ESC}[0mt`]],
    ['a wrap at the margin', [`${'.'.repeat(37)}secret`]],
  ])('%s', async (_what, items) => {
    expect((await read(items)).texts.join('\n')).toContain('secret')
  })
})

describe('text that stood on the screen is found although it was', () => {
  test.each([
    ['cleared away', [`secret${ESC}[2J${ESC}[H`]],
    ['cleared away from a line above', [`\r\n\r\nsecret${ESC}[1A${ESC}[J`]],
    ['erased', [`secret${ESC}[2K`]],
    ['erased from its start', [`secret\r${ESC}[K`]],
    ['overwritten after a carriage return', ['secret\rxxxxxx']],
    ['overwritten after a jump', [`secret\r\n${ESC}[1;1Hxxxxxx`]],
    ['overwritten by a line that wraps', [`\r\nsecret${ESC}[1;30H${'x'.repeat(30)}`]],
    ['overwritten by lines from above', [`a\r\nsecret${ESC}[Hbbbbbbbb\r\ncccccccc`]],
    ['overwritten by backspaces after a while', ['secret', 1000, '\b\b\b\b\b\bxxxxxx']],
    ['scrolled away', [`secret\r\n${'line\r\n'.repeat(5000)}`]],
    ['scrolled away a little', [`secret\r\n${'line\r\n'.repeat(30)}`]],
    ['scrolled away in a region', [`${ESC}[1;3r${ESC}[3;1Hsecret\r\n1\r\n2\r\n3\r\n4\r\n`]],
    ['scrolled away backwards', [`${ESC}[10;1Hsecret${ESC}[H${ESC}M`]],
    ['deleted with its line', [`secret\r${ESC}[M`]],
    ['pushed off by inserted lines', [`${ESC}[10;1Hsecret${ESC}[H${ESC}[9L${ESC}[L`]],
    ['on the alternate screen', [`${ESC}[?1049h${ESC}[Hsecret${ESC}[?1049l`]],
    [
      'scrolled away on the alternate screen',
      [`${ESC}[?1049h${ESC}[Hsecret${'\r\nx'.repeat(30)}${ESC}[?1049l`],
    ],
    ['behind the alternate screen', [`secret${ESC}[?1049h${ESC}[2Jx`]],
    ['taken away by a reset', [`secret${ESC}c`]],
    ['cut off by a smaller screen', [`${ESC}[10;1Hsecret`, [20, 3]]],
  ] as [string, Item[]][])('%s', async (_how, items) => {
    expect((await read(items)).texts.join('\n')).toContain('secret')
  })
})

test('what never was on a screen is not found', async () => {
  const {texts} = await read([
    `${ESC}]0;title${ESC}\\${ESC}P1$tdevice${ESC}\\${ESC}]52;c;clip\u0007${ESC}_app${ESC}\\shown`,
  ])
  expect(texts).toEqual(['shown'])
})

test('a line that is typed counts once, when it is complete, with the time at which it was', async () => {
  const {lines} = await read(['$ ', 200, 'l', 200, 's', 200, ' -l', 200, '\r\ntotal 0', 1000, '\r\n$ '])
  expect(lines).toEqual([
    {ms: 600, text: '$ ls -l'},
    {ms: 800, text: 'total 0'},
    {ms: 1800, text: '$'},
  ])
})

test('a screen that is drawn again and again says everything once', async () => {
  const frame = (load: number) => `${ESC}[Htop - load ${load}\r\n${ESC}[Ktasks: 5\r\n${ESC}[K${ESC}[J`
  const {texts} = await read([`${ESC}[?1049h`, ...[1, 2, 3, 1].flatMap(load => [frame(load), 1000])])
  expect(texts.sort()).toEqual(['tasks: 5', 'top - load 1', 'top - load 2', 'top - load 3'])
})

test('the time is one at which the text was on the screen', async () => {
  const {lines} = await read(['one\r\n', 5000, `two\r\n`, 5000, `${ESC}[2J${ESC}[Hthree`, 5000, '\r\n'])
  expect(lines).toEqual([
    {ms: 0, text: 'one'},
    {ms: 5000, text: 'two'},
    {ms: 10_000, text: 'three'},
  ])
})

test('a session without a terminal has line feeds alone', async () => {
  expect((await read(['alpha\nbeta\n'], {term: ''})).texts).toEqual(['alpha', 'beta'])
})

test('a line without end comes in pieces that overlap', async () => {
  const words = Array.from({length: 4000}, (_, i) => `w${i}`)
  const {texts} = await read([words.join(' ')])
  expect(Math.max(...texts.map(text => text.length))).toBeLessThanOrEqual(60 * 40)
  for (let i = 0; i + 20 < words.length; i += 7) {
    const part = words.slice(i, i + 20).join(' ')
    expect(texts.some(text => text.includes(part))).toBe(true)
  }
})

test('the reading ends where it is told to, and says so', async () => {
  let left = 3
  const items = Array.from({length: 40}, (_, i) => [`${'x'.repeat(30_000)}${i}`, 100]).flat()
  const {complete, untilMs} = await read(items, {}, () => --left > 0)
  expect(complete).toBe(false)
  expect(untilMs).toBeGreaterThan(0)
  expect(untilMs).toBeLessThan(2000)
})

describe('the reading can be ended soon while there comes', () => {
  test.each([
    ['scrolling by huge counts', `${ESC}[99999999S`.repeat(3000)],
    ['inserting huge counts of lines', `${ESC}[99999999L`.repeat(3000)],
    ['repeating a character hugely', `x${ESC}[99999999b`.repeat(3000)],
    ['moving wildly', `${ESC}[9999;9999H${ESC}[Kx${ESC}[Hy`.repeat(3000)],
    ['line feeds alone', '\n'.repeat(200_000)],
    ['clearing over and over', `x${ESC}[2J`.repeat(3000)],
    ['tabs and backspaces', '\t\b'.repeat(50_000)],
    ['an open string', `${ESC}]${'x'.repeat(200_000)}`],
    ['an open sequence', `${ESC}[${'1;'.repeat(100_000)}`],
    ['combining marks', `a${'\u0301'.repeat(100_000)}`],
  ])('%s', async (_what, text) => {
    const began = processorTime()
    const goOn = () => processorTime() - began < 200
    await read([text.slice(0, 100_000)], {width: 10_000, height: 10_000}, goOn)
    expect(processorTime() - began).toBeLessThan(6000)
  })
})

test.each([
  [2, 7],
  [3, 6],
  [25, 10],
])('the number of a mode is no count to be cut to a screen of %d by %d', async (columns, rows) => {
  const {texts} = await read([[columns, rows], `${ESC}c${ESC}[?1049lneedle`])
  expect(texts).toContain('needle')
})

test('whatever comes, plain text after a full reset is found', async () => {
  const piece = fc.oneof(
    fc.string({unit: 'binary'}),
    fc.stringMatching(/^[?>]?[0-9;]{0,8}[@-~]$/).map(rest => `${ESC}[${rest}`),
    fc.constantFrom('\r', '\n', '\b', `${ESC}M`, `${ESC}c`, `${ESC}7`, `${ESC}8`, `${ESC}[?1049h`),
  )
  const item = fc.oneof(piece, fc.integer({min: 0, max: 500}), fc.tuple(fc.nat(300), fc.nat(300)))
  await fc.assert(
    fc.asyncProperty(fc.array(item), async items => {
      const {texts, complete} = await read([...items, `\u0018${ESC}\\${ESC}c${ESC}[?1049lneedle`])
      expect(complete).toBe(true)
      expect(texts.some(text => text.includes('needle'))).toBe(true)
    }),
    {numRuns: 60},
  )
})
