/** Where in a recording the player is: pure arithmetic on a clock that is handed in. Milliseconds throughout. */
export interface Playhead {
  /** Position in the recording at clock time `now`. */
  at(now: number): number
  readonly paused: boolean
  readonly speed: number
  togglePause(now: number): void
  setSpeed(speed: number, now: number): void
  /** Goes to a position. */
  seek(positionMs: number, now: number): void
  /** How long to wait, at this speed, until the event at `timeMs` is due. */
  delayUntil(timeMs: number, now: number): number
}

export interface PlayheadOptions {
  speed: number
  /** Longest wait between two events, in recording time; undefined waits as long as it was. */
  maxIdleMs?: number
}

const MIN_SPEED = 1 / 16
const MAX_SPEED = 64

const clamp = (speed: number): number => Math.min(Math.max(speed, MIN_SPEED), MAX_SPEED)

export function createPlayhead(
  {speed: wanted, maxIdleMs = Number.POSITIVE_INFINITY}: PlayheadOptions,
  now: number,
): Playhead {
  let speed = clamp(wanted)
  let paused = false
  let position = 0
  let anchor = now

  const at = (time: number): number => (paused ? position : position + Math.max(0, time - anchor) * speed)

  const settle = (time: number): void => {
    position = at(time)
    anchor = time
  }

  return {
    at,
    get paused() {
      return paused
    },
    get speed() {
      return speed
    },
    togglePause(time) {
      settle(time)
      paused = !paused
    },
    setSpeed(next, time) {
      settle(time)
      speed = clamp(next)
    },
    seek(positionMs, time) {
      position = Math.max(0, positionMs)
      anchor = time
    },
    delayUntil(timeMs, time) {
      const wait = timeMs - at(time)
      if (wait > maxIdleMs) {
        // The idle time beyond the limit is passed over at once.
        position = timeMs - maxIdleMs
        anchor = time
        return maxIdleMs / speed
      }
      return Math.max(0, wait / speed)
    },
  }
}
