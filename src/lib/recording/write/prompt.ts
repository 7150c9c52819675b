import {PROMPT_CHUNKS, PROMPT_LONG_MS, PROMPT_MS} from '../limits.js'

/** Has chunks closed without waiting for them to grow. */
export interface Prompter {
  /** There is more in the open chunk. */
  appended(): void
  /** Whether the open chunk closes now; where it may not yet, it will be closed in time. */
  closesNow(): boolean
}

export interface PrompterOptions {
  /** Milliseconds that never step back. */
  elapsed: () => number
  /** There is something to close, and nothing else on its way. */
  mayClose: () => boolean
  close: () => void
}

export function createPrompter({elapsed, mayClose, close}: PrompterOptions): Prompter {
  const pace = createPace()
  let waiting = false
  const appended = (): void => {
    if (waiting || !mayClose()) return
    waiting = true
    const milliseconds = pace.wait(elapsed())
    // What comes in the same turn goes into the same chunk.
    if (milliseconds === 0) setImmediate(onTime)
    else setTimeout(onTime, milliseconds)
  }
  const closesNow = (): boolean => {
    if (!mayClose()) return false
    const at = elapsed()
    if (pace.wait(at) > 0) {
      appended()
      return false
    }
    pace.closed(at)
    return true
  }
  const onTime = (): void => {
    waiting = false
    if (closesNow()) close()
  }
  return {appended, closesNow}
}

/** When a chunk may close though it is small. Times in milliseconds of one clock that never steps back. */
export interface Pace {
  /** How long to wait until the next one may; 0: not at all. */
  wait(at: number): number
  /** One has closed. */
  closed(at: number): void
}

/**
 * Somebody who types never waits. A program that goes on and on has PROMPT_CHUNKS of them in quick succession, and then
 * one every PROMPT_LONG_MS, so that the index of a long session stays small enough to be read at once.
 */
export function createPace(): Pace {
  let last = Number.NEGATIVE_INFINITY
  /** How many there may be in quick succession, and since when. */
  let left = PROMPT_CHUNKS
  let since = 0
  const leftAt = (at: number): number => Math.min(PROMPT_CHUNKS, left + (at - since) / PROMPT_LONG_MS)
  return {
    wait(at) {
      const lacking = 1 - leftAt(at)
      return Math.max(0, last + PROMPT_MS - at, Math.ceil(lacking * PROMPT_LONG_MS))
    },
    closed(at) {
      left = Math.max(0, leftAt(at) - 1)
      since = at
      last = at
    },
  }
}
