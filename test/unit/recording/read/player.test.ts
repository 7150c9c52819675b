import {describe, expect, it} from 'vitest'
import {type Control, parseKeys} from '../../../../src/lib/recording/read/controls.js'
import {createPlayer, type Player} from '../../../../src/lib/recording/read/player.js'
import {readCast} from '../../../../src/lib/recording/read/reader.js'
import {createSpool} from '../../../../src/lib/recording/write/spool.js'
import {collect, pieces} from '../support.js'

const ESC = '\u001b'

/** Seconds and text. */
type Script = [number, string][]

const cast = (script: Script): Buffer =>
  Buffer.from(
    [
      '{"version":2,"width":80,"height":24}',
      ...script.map(([at, text]) => JSON.stringify([at, 'o', text])),
      '',
    ].join('\n'),
  )

/**
 * A player on a clock of its own: it jumps to the end of each sleep, unless a control comes before; controls are
 * given with the clock time at which they come.
 */
async function play(
  script: Script,
  {
    controls = [],
    durationMs,
    ...options
  }: {
    controls?: [number, Control][]
    speed?: number
    maxIdleMs?: number
    startMs?: number
    durationMs?: number
  } = {},
) {
  let clock = 0
  let text = ''
  let opened = 0
  const shown: [number, string][] = []
  const pending = [...controls]
  const player: Player = createPlayer({
    ...options,
    durationMs: () => durationMs,
    open: () => {
      opened += 1
      return readCast(pieces(cast(script)))
    },
    write: piece => {
      text += piece
      if (piece !== '') shown.push([clock, piece])
      return undefined
    },
    now: () => clock,
    sleep: async ms => {
      const next = pending[0]
      if (next && next[0] <= clock + ms) {
        pending.shift()
        clock = Math.max(clock, next[0])
        player.control(next[1])
      } else clock += ms
    },
  })
  const result = await player.run()
  return {result, shown, text, opened, clock}
}

const steady: Script = Array.from({length: 10}, (_, i) => [i, String(i)])
const pause: Control = {do: 'pause'}

describe('playing', () => {
  it('shows every event at its time', async () => {
    const {shown, result} = await play(steady)
    expect(shown).toEqual(steady.map(([at, text]) => [at * 1000, text]))
    expect(result).toEqual({end: 'open', quit: false})
  })

  it('is as many times faster as was asked', async () => {
    expect((await play(steady, {speed: 3})).clock).toBeCloseTo(3000)
    expect((await play(steady, {speed: 0.5})).clock).toBe(18_000)
  })

  it('begins where it is told to, with what came before on the screen at once', async () => {
    const script: Script = [
      [1, 'a'],
      [60, 'b'],
      [90, 'c'],
      [95, 'd'],
    ]
    const {shown} = await play(script, {startMs: 60_000})
    expect(shown.slice(0, 4)).toEqual([
      [0, 'a'],
      [0, 'b'],
      [30_000, 'c'],
      [35_000, 'd'],
    ])
    expect((await play(script, {startMs: 1e9})).clock).toBe(0)
  })

  it('passes over idle time beyond a limit', async () => {
    const script: Script = [
      [0, 'a'],
      [1, 'b'],
      [3601, 'c'],
      [3601.5, 'd'],
      [9000, 'e'],
    ]
    const {shown} = await play(script, {maxIdleMs: 2000})
    expect(shown.map(([at]) => at)).toEqual([0, 1000, 3000, 3500, 5500])
    expect((await play(script, {maxIdleMs: 2000, speed: 2})).clock).toBe(2750)
  })

  it('stops while paused and goes on where it was', async () => {
    const {shown} = await play(steady, {
      controls: [
        [2500, pause],
        [60_000, pause],
      ],
    })
    expect(shown.slice(0, 5)).toEqual([
      [0, '0'],
      [1000, '1'],
      [2000, '2'],
      [60_500, '3'],
      [61_500, '4'],
    ])
  })

  it('changes speed on the way, within reason', async () => {
    const {shown} = await play(steady, {controls: [[4000, {do: 'speed', factor: 2}]]})
    expect(shown.slice(4, 7).map(([at]) => at)).toEqual([4000, 4500, 5000])
    const fast: [number, Control][] = Array.from({length: 20}, () => [1, {do: 'speed', factor: 2}])
    expect((await play(steady, {controls: fast})).clock).toBeGreaterThan(9000 / 65)
  })

  it('seeks forward by showing at once what was between', async () => {
    const {shown} = await play(steady, {controls: [[1500, {do: 'seek', byMs: 5000}]]})
    expect(shown.map(([at]) => at)).toEqual([0, 1000, 1500, 1500, 1500, 1500, 1500, 2000, 3000, 4000])
  })

  it('seeks back by drawing the screen anew from the beginning', async () => {
    const {text, opened, shown} = await play(steady, {controls: [[7500, {do: 'seek', byMs: -5000}]]})
    expect(opened).toBe(2)
    expect(text).toBe(`01234567${ESC}[0m${ESC}[2J${ESC}[H0123456789`)
    expect(shown.at(-1)?.[0]).toBe(7500 + 6500)
  })

  it('jumps to a tenth of the whole', async () => {
    const {shown} = await play(steady, {durationMs: 10_000, controls: [[500, {do: 'jump', tenth: 8}]]})
    expect(shown.filter(([at]) => at === 500).map(([, text]) => text)).toEqual([
      '1',
      '2',
      '3',
      '4',
      '5',
      '6',
      '7',
      '8',
    ])
  })

  it('seeks while paused, shows that moment, and stays paused', async () => {
    const {shown} = await play(steady, {
      controls: [
        [500, pause],
        [1000, {do: 'seek', byMs: 2000}],
        [9000, pause],
      ],
    })
    expect(shown.map(([at]) => at).slice(0, 4)).toEqual([0, 1000, 1000, 9500])
  })

  it('does not go before the beginning', async () => {
    const {opened, text} = await play(steady, {controls: [[1500, {do: 'seek', byMs: -60_000}]]})
    expect(opened).toBe(2)
    expect(text.endsWith('0123456789')).toBe(true)
  })

  it('quits at once, also while paused', async () => {
    const {result, shown} = await play(steady, {
      controls: [
        [1500, pause],
        [2000, {do: 'quit'}],
      ],
    })
    expect(result.quit).toBe(true)
    expect(shown).toHaveLength(2)
  })

  it('leaves the terminal as it found it, at the end, at a quit and before going back', async () => {
    const script: Script = [
      [0, `${ESC}[?1049h${ESC}[?25l`],
      [5, 'x'],
      [9, 'y'],
    ]
    const restore = `${ESC}[?25h${ESC}[?1049l`
    expect((await play(script)).text.endsWith(`xy${restore}`)).toBe(true)
    expect((await play(script, {controls: [[6000, {do: 'quit'}]]})).text.endsWith(`x${restore}`)).toBe(true)
    expect((await play(script, {controls: [[6000, {do: 'seek', byMs: -5000}]]})).text).toContain(
      `x${restore}${ESC}[0m`,
    )
  })

  it('neutralises what reaches outside the screen, also when it is split over events', async () => {
    const {text} = await play([
      [0, `a${ESC}]52;c;`],
      [1, `cm0gLXJm\u0007b${ESC}[6`],
      [2, 'nc'],
    ])
    expect(text).toBe('abc')
  })

  it('restores the terminal when the recording turns out damaged', async () => {
    let text = ''
    const player = createPlayer({
      open: () =>
        readCast(pieces(Buffer.concat([cast([[0, `${ESC}[?25l`]]), Buffer.from('garbage\n[1,"o","x"]\n')]))),
      write: piece => {
        text += piece
        return undefined
      },
      now: () => 0,
      sleep: async () => {},
    })
    await expect(player.run()).rejects.toMatchObject({code: 'recording_corrupt'})
    expect(text.endsWith(`${ESC}[?25h`)).toBe(true)
  })

  it('waits for the terminal to take what was written', async () => {
    let open = false
    let released = () => {}
    const player = createPlayer({
      open: () =>
        readCast(
          pieces(
            cast([
              [0, 'a'],
              [0, 'b'],
            ]),
          ),
        ),
      write: piece => {
        if (piece === 'b') expect(open).toBe(true)
        return new Promise(resolve => {
          released = () => {
            open = true
            resolve()
          }
          if (piece !== 'a') resolve()
          else setImmediate(released)
        })
      },
      now: () => 0,
      sleep: async () => {},
    })
    await player.run()
    expect(open).toBe(true)
  })
})

describe('keys', () => {
  it('are controls; unknown ones and unknown sequences are nothing', () => {
    expect(parseKeys(` q\u0003+-5${ESC}[C${ESC}[D${ESC}OD`)).toEqual([
      {do: 'pause'},
      {do: 'quit'},
      {do: 'quit'},
      {do: 'speed', factor: 2},
      {do: 'speed', factor: 0.5},
      {do: 'jump', tenth: 5},
      {do: 'seek', byMs: 5000},
      {do: 'seek', byMs: -5000},
      {do: 'seek', byMs: -5000},
    ])
    expect(parseKeys(`xyz${ESC}[A${ESC}[15~${ESC}[1;5C${ESC}OP${ESC}${ESC}ä😀`)).toEqual([])
  })
})

describe('a spool', () => {
  it('can be read again while and after it is filled', async () => {
    let release = () => {}
    const gate = new Promise<void>(resolve => {
      release = resolve
    })
    async function* source() {
      yield Buffer.from('one ')
      await gate
      yield Buffer.from('two')
    }
    const spool = await createSpool(source())
    const early = spool.read()
    expect(Buffer.from((await early.next()).value ?? []).toString()).toBe('one ')
    const second = early.next()
    release()
    expect(Buffer.from((await second).value ?? []).toString()).toBe('two')
    expect((await collect(spool.read())).toString()).toBe('one two')
    spool.close()
  })

  it('passes the failure of its source on after what came before it', async () => {
    async function* source() {
      yield Buffer.from('one')
      throw new Error('cut')
    }
    const spool = await createSpool(source())
    const reader = spool.read()
    expect(Buffer.from((await reader.next()).value ?? []).toString()).toBe('one')
    await expect(reader.next()).rejects.toThrow('cut')
    spool.close()
  })
})
