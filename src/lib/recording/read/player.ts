import type {CastEnd} from './contents.js'
import type {Control} from './controls.js'
import {createPlayhead, type Playhead} from './playhead.js'
import type {Cast} from './reader.js'
import {createSanitizer, type Sanitizer} from './sanitize.js'

export interface PlayerOptions {
  /** Begins the recording anew; called again to go back. */
  open: () => Promise<Cast>
  /** Shows text; the player waits for what it returns. */
  write: (text: string) => Promise<void> | undefined
  /** Milliseconds of a clock that does not jump. */
  now: () => number
  /** Resolves after `ms`, or at once when the signal fires. */
  sleep: (ms: number, signal: AbortSignal) => Promise<void>
  /** 1 is as it was. */
  speed?: number
  maxIdleMs?: number
  /** Begins here: milliseconds from the start. What came before is on the screen at once. */
  startMs?: number
  /** Of the whole recording, for jumps to a tenth of it; may become known only while it plays. */
  durationMs?: () => number | undefined
}

export interface Player {
  /** Plays to the end, or until told to quit. Leaves the terminal as it found it. */
  run(): Promise<{end: CastEnd; quit: boolean}>
  control(control: Control): void
}

/** Longest wait for a timer of the system (2³¹−1 ms); longer ones are waited for in turns. */
const LONGEST_SLEEP = 2_147_483_647

/** What was drawn is cleared before going back. */
const CLEAR = '\u001b[0m\u001b[2J\u001b[H'

/**
 * Plays a recording on a terminal. One event is in memory at a time; to go back it reads from the beginning, which
 * alone gives the screen as it was.
 */
export function createPlayer(options: PlayerOptions): Player {
  const {open, write, now, sleep, speed = 1, maxIdleMs, startMs = 0, durationMs} = options
  const playhead = createPlayhead({speed, ...(maxIdleMs !== undefined && {maxIdleMs})}, now())
  playhead.seek(startMs, now())
  let wake = new AbortController()
  let shown = 0
  let quit = false
  let rewind = false

  const interrupt = (): void => {
    wake.abort()
    wake = new AbortController()
  }

  const seekTo = (positionMs: number): void => {
    const target = Math.min(Math.max(0, positionMs), durationMs?.() ?? Number.POSITIVE_INFINITY)
    playhead.seek(target, now())
    if (target < shown) rewind = true
  }

  /** Waits until an event is due; false when it must not be shown after all. */
  const due = async (timeMs: number): Promise<boolean> => {
    while (!quit && !rewind) {
      const delay = playhead.paused ? LONGEST_SLEEP : playhead.delayUntil(timeMs, now())
      if (!playhead.paused && delay <= 0) return true
      if (playhead.paused && timeMs <= playhead.at(now())) return true
      await sleep(Math.min(delay, LONGEST_SLEEP), wake.signal)
    }
    return false
  }

  const pass = async (sanitizer: Sanitizer): Promise<CastEnd> => {
    const cast = await open()
    for await (const event of cast.events) {
      if (!(await due(event.timeMs))) return cast.end()
      shown = event.timeMs
      if (event.kind !== 'output') continue
      const text = sanitizer.push(event.text)
      if (text !== '') await write(text)
    }
    return cast.end()
  }

  return {
    async run() {
      let sanitizer = createSanitizer()
      try {
        for (;;) {
          const end = await pass(sanitizer)
          if (!rewind || quit) return {end, quit}
          rewind = false
          shown = 0
          await write(sanitizer.restore() + CLEAR)
          sanitizer = createSanitizer()
        }
      } finally {
        await write(sanitizer.restore())
      }
    },
    control(control) {
      apply(control, {playhead, now, durationMs: durationMs?.(), seekTo})
      if (control.do === 'quit') quit = true
      interrupt()
    },
  }
}

function apply(
  control: Control,
  player: {
    playhead: Playhead
    now: () => number
    durationMs: number | undefined
    seekTo: (positionMs: number) => void
  },
): void {
  const {playhead, now, durationMs, seekTo} = player
  if (control.do === 'pause') playhead.togglePause(now())
  else if (control.do === 'speed') playhead.setSpeed(playhead.speed * control.factor, now())
  else if (control.do === 'seek') seekTo(playhead.at(now()) + control.byMs)
  else if (control.do === 'jump' && durationMs !== undefined) seekTo((durationMs * control.tenth) / 10)
}
