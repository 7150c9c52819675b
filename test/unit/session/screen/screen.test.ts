import {createRequire} from 'node:module'
import fc from 'fast-check'
import {describe, expect, test} from 'vitest'
import {createSanitizer} from '../../../../src/lib/recording/index.js'
import {drawScreen, type ScreenEvent} from '../../../../src/lib/session/screen/screen.js'
import {processorTime} from '../../../support/processor-time.js'

const {Terminal} = createRequire(import.meta.url)('@xterm/headless') as typeof import('@xterm/headless')
type Terminal = InstanceType<typeof Terminal>

const size = {columns: 20, rows: 6}
const empty = {size, text: ''}

/** What people see, and where they would type; `halved`: of some wide character, something was put into one half. */
async function look(events: readonly ScreenEvent[], start = size) {
  const terminal = new Terminal({
    cols: start.columns,
    rows: start.rows,
    scrollback: 0,
    allowProposedApi: true,
  })
  for (const event of events) {
    if (typeof event !== 'string') terminal.resize(event.columns, event.rows)
    else await new Promise<void>(resolve => terminal.write(event, resolve))
  }
  return seen(terminal)
}

function seen(terminal: Terminal) {
  const screen = terminal.buffer.active
  const cells = []
  let halved = false
  for (let y = 0; y < terminal.rows; y++) {
    const line = screen.getLine(screen.baseY + y)
    for (let x = 0; x < terminal.cols; x++) {
      const cell = line?.getCell(x)
      if (!cell) continue
      const second = x > 0 && line?.getCell(x - 1)?.getWidth() === 2
      if ((cell.getWidth() === 0) !== second) halved = true
      if (cell.getWidth() === 0) continue
      const colours = [cell.getFgColor(), cell.getFgColorMode(), cell.getBgColor(), cell.getBgColorMode()]
      const flags = [cell.isBold(), cell.isInverse(), cell.isUnderline(), cell.isDim(), cell.isItalic()]
      cells.push([cell.getChars() || ' ', ...colours, ...flags.map(Boolean)].join(','))
    }
  }
  return {cells, halved, x: screen.cursorX, y: screen.cursorY, type: screen.type, ...terminal.modes}
}

const csi = (sequence: string): string => `\u001b[${sequence}`
const count = fc.integer({min: 0, max: 20}).map(value => (value === 0 ? '' : String(value)))
const piece = fc.oneof(
  {weight: 4, arbitrary: fc.stringMatching(/^[a-z ]{1,30}$/)},
  {weight: 3, arbitrary: fc.constantFrom('\r\n', '\n', '\r', '\b', '\t', '漢字', 'é', 'e\u0301', '🙂')},
  fc.tuple(count, fc.constantFrom(...'ABCDEFGHKJLMPSTX@dr')).map(([n, final]) => csi(n + final)),
  // A repetition right behind a cut has nothing to repeat.
  count.map(n => `x${csi(`${n}b`)}`),
  fc.tuple(count, count, fc.constantFrom('H', 'r')).map(([a, b, final]) => csi(`${a};${b}${final}`)),
  fc
    .constantFrom('0', '1', '7', '31', '44', '38;5;200', '48;2;1;2;3', '4', '')
    .map(words => csi(`${words}m`)),
  fc.constantFrom('?1049h', '?1049l', '?25l', '?25h', '?6h', '?6l', '4h', '4l').map(csi),
  fc.constantFrom('\u001b7', '\u001b8', '\u001bM', '\u001bD', '\u001bE', '\u001b(0', '\u001b(B', '\u001bc'),
)
const clean = (text: string): string => createSanitizer().push(text)
const output = fc.array(piece, {maxLength: 40}).map(pieces => clean(pieces.join('')))

describe('a painted screen', () => {
  test('is the screen, and goes on as the screen would have', async () => {
    await fc.assert(
      fc.asyncProperty(output, output, output, async (a, b, c) => {
        const whole = await look([a, b, c])
        const [earlier, now] = [await look([a]), await look([a, b])]
        fc.pre(!earlier.halved && !now.halved)
        const painted = await drawScreen(await drawScreen(empty, [a]), [b])
        expect(await look([painted.text])).toEqual(now)
        expect(await look([painted.text, c])).toEqual(whole)
      }),
      {numRuns: 150},
    )
  })

  test('keeps the margins of the screen behind an alternate one', async () => {
    const [a, b] = [csi('2;4r') + csi('?1049h'), `${csi('?1049l')}x${csi('M')}`]
    const painted = await drawScreen(empty, [a])
    expect(await look([painted.text, b])).toEqual(await look([a, b]))
  })

  test('has the size it was changed to, also on the way', async () => {
    const events = ['one\r\ntwo\r\n', {columns: 40, rows: 3}, csi('3;38Hxyz')]
    const painted = await drawScreen(await drawScreen(empty, events.slice(0, 2)), events.slice(2))
    expect(painted.size).toEqual({columns: 40, rows: 3})
    expect(await look([painted.text], painted.size)).toEqual(await look(events))
  })

  test('takes over a terminal in any state, and in the middle of anything', async () => {
    const {text} = await drawScreen(empty, ['hello ', csi('31m'), 'world'])
    const wild = [
      csi('?1049h'),
      csi('2;3r'),
      csi('?6h'),
      csi('4h'),
      csi('7m'),
      '\u001b(0',
      'junk',
      csi('38;5'),
    ]
    expect(await look([...wild, text])).toEqual(await look([text]))
  })

  test('costs no more than its size for counts that are made to cost', async () => {
    const hostile = clean(
      csi('65535b').repeat(4000) + csi('65535L') + csi('65535S') + 'x'.concat(csi('65535b')),
    )
    const began = processorTime()
    await drawScreen(empty, [`x${hostile}`])
    expect(processorTime() - began).toBeLessThan(2000)
  })

  test.each([
    {columns: 1, rows: 1},
    {columns: 10_000, rows: 10_000},
  ])('has a size that a terminal can have: %j', async given => {
    const painted = await drawScreen({size: given, text: ''}, ['x'])
    expect(painted.text).toContain('x')
  })
})
