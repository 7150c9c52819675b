import {describe, expect, test} from 'vitest'
import {createRecentOutput} from '../../../../src/lib/session/screen/recent-output.js'
import {createAudience, type Seat} from '../../../../src/lib/session/sharing/audience.js'

const size = {columns: 80, rows: 24}

interface TestSeat extends Seat {
  shown: string
  sizes: string[]
  forgotten: number
  /** Takes what waits. */
  drain(): void
  waiting: number
  /** Resolves when something that matches was shown. */
  until(pattern: RegExp): Promise<void>
}

/** @param slow takes nothing until it is told to */
function testSeat(slow = false): TestSeat {
  let look = (): void => undefined
  const seat: TestSeat = {
    ...{shown: '', sizes: [], forgotten: 0, waiting: 0, onDrained: undefined},
    show(text) {
      seat.shown += text
      if (slow) seat.waiting += text.length
      look()
    },
    forget() {
      seat.forgotten += 1
      seat.shown = seat.shown.slice(0, seat.shown.length - seat.waiting)
    },
    tell: () => undefined,
    resize: ({columns, rows}) => void seat.sizes.push(`${columns}x${rows}`),
    close: () => undefined,
    drain() {
      seat.waiting = 0
      seat.onDrained?.()
    },
    until: pattern =>
      new Promise(resolve => {
        look = () => {
          if (pattern.test(seat.shown)) resolve()
        }
        look()
      }),
  }
  return seat
}

function gathering() {
  const clock = {now: 0}
  const monotonic = () => clock.now
  const recent = createRecentOutput({size, monotonic, mayDraw: () => true})
  const problems: unknown[] = []
  const audience = createAudience({recent, size, monotonic, onProblem: error => problems.push(error)})
  return {audience, clock, problems}
}

const bytes = (text: string): Buffer => Buffer.from(text)

describe('whoever looks on', () => {
  test('is shown the screen, and what comes after it', async () => {
    const {audience, clock} = gathering()
    audience.output(bytes('before'))
    const seat = testSeat()
    audience.add(seat)
    await seat.until(/before/)
    clock.now += 1000
    audience.output(bytes(' after'))
    expect(seat.shown).toMatch(/before.* after$/s)
    expect(seat.sizes).toEqual(['80x24'])
  })

  test('too slowly keeps a bounded amount waiting, and gets a fresh screen when it takes more', async () => {
    const {audience, clock} = gathering()
    const [slow, quick] = [testSeat(true), testSeat()]
    audience.add(slow)
    audience.add(quick)
    await slow.until(/H/)
    slow.drain()
    let most = 0
    for (let n = 0; n < 2000; n++) {
      // Slowly enough to be no flood.
      clock.now += 100
      audience.output(bytes(`line ${n} ${'x'.repeat(1000)}\r\n`))
      most = Math.max(most, slow.waiting)
    }
    expect(most).toBeLessThan(300 * 1024)
    expect(slow.forgotten).toBe(1)
    expect(slow.shown).not.toContain('line 1999')
    slow.drain()
    await slow.until(/line 1999/)
    expect(slow.shown).not.toContain('line 1500 ')
    // The other one was shown all of it.
    expect(quick.shown.match(/line \d+ /g)?.length).toBe(2000)
    clock.now += 1000
    audience.output(bytes('and on'))
    for (const seat of [slow, quick]) expect(seat.shown.endsWith('and on')).toBe(true)
  })

  test('gets pictures of a flood, and the screen at its end', async () => {
    const {audience, clock} = gathering()
    const seat = testSeat()
    audience.add(seat)
    await seat.until(/H/)
    const line = `${'y'.repeat(78)}\r\n`
    for (let n = 0; n < 1000; n++) {
      clock.now += 1
      audience.output(bytes(line.repeat(400)))
    }
    audience.output(bytes('the end'))
    expect(seat.shown.length).toBeLessThan(2 * 1024 * 1024)
    await seat.until(/the end/)
    clock.now += 1000
    audience.output(bytes('!'))
    expect(seat.shown.endsWith('!')).toBe(true)
  })

  test('is told of another size before the screen that has it', async () => {
    const {audience, clock} = gathering()
    const seat = testSeat()
    audience.add(seat)
    audience.output(bytes('text'))
    await seat.until(/text/)
    clock.now += 1000
    seat.shown = ''
    audience.resize({columns: 100, rows: 30})
    expect(seat.sizes).toEqual(['80x24', '100x30'])
    audience.output(bytes(' more'))
    await seat.until(/text more/)
  })

  test('no longer is shown nothing', async () => {
    const {audience, clock} = gathering()
    const [gone, there] = [testSeat(), testSeat()]
    audience.add(gone)
    audience.add(there)
    await there.until(/H/)
    audience.remove(gone)
    gone.shown = ''
    clock.now += 1000
    audience.output(bytes('more'))
    expect(there.shown.endsWith('more')).toBe(true)
    expect(gone.shown).toBe('')
    audience.close()
    audience.output(bytes('later'))
    expect(there.shown.endsWith('more')).toBe(true)
  })
})
