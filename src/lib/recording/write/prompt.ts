import {PROMPT_CHUNKS_PER_MS, PROMPT_MOST_MS, PROMPT_MS} from '../limits.js'

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

/** Keeps chunks apart, the more of them there are the longer. */
export function createPace(): Pace {
  let last = Number.NEGATIVE_INFINITY
  let count = 0
  return {
    wait(at) {
      const apart = Math.min(Math.max(PROMPT_MS, Math.floor(count / PROMPT_CHUNKS_PER_MS)), PROMPT_MOST_MS)
      return Math.max(0, last + apart - at)
    },
    closed(at) {
      last = at
      count++
    },
  }
}
