import {expect, test} from 'vitest'
import {cast3Lines, readCast, type SessionEnd} from '../../../../src/lib/recording/index.js'
import {pieces} from '../support.js'

async function cast3(lines: unknown[], end?: SessionEnd): Promise<unknown[]> {
  const source = Buffer.from(lines.map(line => `${JSON.stringify(line)}\n`).join(''))
  const written: unknown[] = []
  for await (const line of cast3Lines(await readCast(pieces(source)), end)) {
    expect(line.endsWith('\n')).toBe(true)
    written.push(JSON.parse(line))
  }
  return written
}

test('the header says in its own words what version 2 said', async () => {
  const own = {format: 1, sid: 'x', user: 'joe'}
  expect(
    await cast3([
      {
        version: 2,
        width: 100,
        height: 30,
        timestamp: 7,
        title: 't',
        env: {TERM: 'vt100'},
        command: 'ls',
        sallyport: own,
      },
    ]),
  ).toEqual([
    {
      version: 3,
      term: {cols: 100, rows: 30, type: 'vt100'},
      timestamp: 7,
      title: 't',
      command: 'ls',
      sallyport: own,
    },
  ])
})

test('intervals add up to the times of the events, however many there are', async () => {
  const times = Array.from({length: 3000}, (_, i) => (i * 7) / 1000)
  const lines = await cast3([{version: 2, width: 80, height: 24}, ...times.map(time => [time, 'o', 'x'])])
  const intervals = lines.slice(1).map(line => (line as [number])[0])
  expect(intervals.slice(0, 3)).toEqual([0, 0.007, 0.007])
  expect(Math.round(intervals.reduce((sum, interval) => sum + interval * 1000, 0))).toBe(2999 * 7)
})

test('every kind of event is kept, our own codes are not, and a known exit ends it', async () => {
  const lines = [
    {version: 2, width: 80, height: 24},
    [0.5, 'o', 'a\ufffd'],
    [0.5, 'x-bytes', 'Yf8='],
    [0.5, 'x-stderr', ''],
    [1, 'r', '90x30'],
    [1.25, 'm', 'mark'],
  ]
  const events = [
    [0.5, 'o', 'a\ufffd'],
    [0.5, 'r', '90x30'],
    [0.25, 'm', 'mark'],
  ]
  expect((await cast3(lines)).slice(1)).toEqual(events)
  expect((await cast3(lines, {durationMs: 3000, exitCode: 130})).slice(1)).toEqual([
    ...events,
    [1.75, 'x', '130'],
  ])
  expect((await cast3(lines, {durationMs: 10, exitCode: 0})).at(-1)).toEqual([0, 'x', '0'])
})
