import {createRequire} from 'node:module'
import fc from 'fast-check'
import {describe, expect, test} from 'vitest'
import type {TerminalSize} from '../../../../src/lib/session/channel/requests.js'
import {createRecentOutput} from '../../../../src/lib/session/screen/recent-output.js'

const {Terminal} = createRequire(import.meta.url)('@xterm/headless') as typeof import('@xterm/headless')

const size = {columns: 40, rows: 8}
const csi = (sequence: string): string => `\u001b[${sequence}`

type Event = Buffer | TerminalSize

/** The lines on the screen of a terminal that was shown all of this. */
async function screenOf(events: readonly (Event | string)[], start = size) {
  const terminal = new Terminal({
    cols: start.columns,
    rows: start.rows,
    scrollback: 0,
    allowProposedApi: true,
  })
  for (const event of events) {
    if (typeof event === 'string' || Buffer.isBuffer(event))
      await new Promise<void>(resolve => terminal.write(event, resolve))
    else terminal.resize(event.columns, event.rows)
  }
  const {active} = terminal.buffer
  const lines = Array.from({length: terminal.rows}, (_, y) =>
    active.getLine(y)?.translateToString().trimEnd(),
  )
  return {lines, x: active.cursorX, y: active.cursorY, type: active.type}
}

function session({budget = Number.POSITIVE_INFINITY, terminal = true} = {}) {
  const clock = {now: 0}
  let left = budget
  const recent = createRecentOutput({
    size: terminal ? size : undefined,
    monotonic: () => clock.now,
    mayDraw(bytes) {
      left -= bytes
      return left >= 0
    },
  })
  return {clock, recent}
}

const feed = (recent: ReturnType<typeof session>['recent'], event: Event): void => {
  if (Buffer.isBuffer(event)) recent.keep(event)
  else recent.resize(event)
}

describe('the recent screen', () => {
  test('is that of a terminal which was shown everything, however the output was cut', async () => {
    const piece = fc.oneof(
      fc.constantFrom(
        'привет ',
        '漢字',
        '🙂',
        csi('31;1m'),
        csi('2;6H'),
        csi('K'),
        '\r\n',
        csi('?1049h'),
        'text ',
      ),
      fc.constantFrom('\u001b]0;a title\u0007', csi('?25l'), csi('?1049l'), csi('2;5r'), csi('0m')),
    )
    const output = fc.array(piece, {minLength: 5, maxLength: 60}).map(pieces => Buffer.from(pieces.join('')))
    const cuts = fc.infiniteStream(fc.integer({min: 1, max: 9}))
    await fc.assert(
      fc.asyncProperty(output, cuts, fc.boolean(), async (bytes, lengths, live) => {
        const {recent} = session()
        let passed = live ? await recent.screen() : ''
        for (let at = 0; at < bytes.length; ) {
          const chunk = bytes.subarray(at, at + lengths.next().value)
          if (live) passed += recent.pass(chunk)
          else recent.keep(chunk)
          at += chunk.length
        }
        const whole = await screenOf([bytes])
        expect(await screenOf([live ? passed : await recent.screen()])).toEqual(whole)
        if (live) expect(await screenOf([await recent.screen()])).toEqual(whole)
      }),
      {numRuns: 150},
    )
  })

  test('goes on exactly where it was drawn, in the middle of a sequence and of a character', async () => {
    const bytes = Buffer.from(`one ${csi('31;44m')}two ключ ${csi('5;5H')}three`)
    for (let at = 1; at < bytes.length; at++) {
      const {recent} = session()
      recent.keep(bytes.subarray(0, at))
      const shown = (await recent.screen()) + recent.pass(bytes.subarray(at))
      expect(await screenOf([shown])).toEqual(await screenOf([bytes]))
    }
  })

  test('has what came while it was being drawn', async () => {
    const {recent} = session()
    recent.keep(Buffer.from('before '))
    const drawing = recent.screen()
    recent.keep(Buffer.from('meanwhile '))
    expect(await screenOf([await drawing, recent.pass(Buffer.from('after'))])).toEqual(
      await screenOf(['before meanwhile after']),
    )
  })

  test('follows changes of size', async () => {
    const events: Event[] = [
      Buffer.from('a line of text that wraps at forty columns, surely\r\n'),
      {columns: 60, rows: 10},
      Buffer.from(`${csi('10;50H')}corner`),
    ]
    const {recent} = session()
    for (const event of events) feed(recent, event)
    expect(await screenOf([await recent.screen()], {columns: 60, rows: 10})).toEqual(await screenOf(events))
  })

  /** The emulator takes a turn of the timers for each 12 ms of its work, which is one or two for what is drawn at a time. */
  const drawn = async (): Promise<void> => {
    for (let turn = 0; turn < 20; turn++) await new Promise(resolve => setTimeout(resolve))
  }

  test('is right after megabytes of a program that changes a little at a time', async () => {
    const {recent, clock} = session()
    const events: Buffer[] = [Buffer.from(`${csi('?1049h')}${csi('1;1H')}a title drawn once`)]
    for (let n = 0; n < 30_000; n++)
      events.push(Buffer.from(`${csi(`${2 + (n % 7)};${1 + (n % 20)}H`)}${csi(`3${n % 8}m`)}${n}  `))
    for (const [n, event] of events.entries()) {
      // Ten updates a millisecond is far more than programs do; each keeps what was before it.
      clock.now = n * 10
      recent.keep(event)
      if (n % 500 === 0) await drawn()
    }
    const shown = await screenOf([await recent.screen()])
    expect(shown).toEqual(await screenOf([Buffer.concat(events)]))
    expect(shown.lines[0]).toContain('a title drawn once')
  })

  test('is right after a flood for which there was no time, with the modes from its middle', async () => {
    const {recent} = session({budget: 0})
    const lines = (from: number, count: number) =>
      Array.from({length: count}, (_, n) => `line ${from + n}\r\n`).join('')
    const output = Buffer.from(
      lines(0, 20_000) +
        csi('?1049h') +
        lines(0, 20_000) +
        csi('32m') +
        lines(0, 9000) +
        csi('3;6r') +
        lines(0, 9000),
    )
    for (let at = 0; at < output.length; at += 10_000) recent.keep(output.subarray(at, at + 10_000))
    const shown = await screenOf([await recent.screen(), recent.pass(Buffer.from('\r\nthe end'))])
    const whole = await screenOf([output, '\r\nthe end'])
    // Only what stood outside of the margins all the time is not to be had.
    const visible = ({lines, ...rest}: typeof whole) => ({lines: lines.slice(2, 6), ...rest})
    expect(visible(shown)).toEqual(visible(whole))
    expect(whole).toMatchObject({type: 'alternate', y: 5})
  })

  test('shows nothing that would reach outside the screen', async () => {
    const {recent} = session()
    recent.keep(Buffer.from('a\u001b]52;c;aGk=\u0007b\u001b]0;title\u0007c\u001bP$qm\u001b\\d'))
    const shown = await recent.screen()
    const later = recent.pass(Buffer.from('\u001b]52;c;aGk=\u0007\u001b[6n\u001b[?1000hx'))
    expect((await screenOf([shown])).lines[0]).toBe('abcd')
    expect(shown).not.toMatch(/52;|title|\$q/)
    expect(later).toBe('x')
  })

  test('is the last lines where there is no terminal', async () => {
    const {recent} = session({terminal: false})
    expect(await recent.screen()).toBe('')
    const output = Array.from({length: 20_000}, (_, n) => `line ${n}\n`).join('')
    for (let at = 0; at < output.length; at += 7000) recent.keep(Buffer.from(output.slice(at, at + 7000)))
    const shown = await recent.screen()
    expect(shown.length).toBeLessThanOrEqual(16 * 1024)
    expect(output.endsWith(shown)).toBe(true)
    expect(shown).toMatch(/^line \d+\n/)
    expect(recent.pass(Buffer.from('more\n'))).toBe('more\n')
  })

  test('costs memory for a few screens, whatever comes', () => {
    const {recent} = session({budget: 0})
    const chunk = Buffer.alloc(32 * 1024, `${csi('?25l')}${csi('31m')}x`)
    globalThis.gc?.()
    const before = process.memoryUsage().arrayBuffers
    for (let n = 0; n < 1000; n++) recent.keep(chunk)
    for (let n = 0; n < 1000; n++) recent.resize({columns: 20 + (n % 9), rows: 20})
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(40 * 1024 * 1024)
  })
})
