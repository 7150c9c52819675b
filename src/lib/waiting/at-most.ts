import type {SallyportError} from '../errors/index.js'
import type {Turn} from './in-turn.js'

export interface AtMostOptions {
  /** How many jobs run at a time. */
  running: number
  /** How many more may wait. */
  waiting: number
  /** What is thrown to whoever comes then. */
  tooMany: () => SallyportError
}

/** Lets a few jobs run, a few more wait in the order in which they came, and refuses the rest. */
export function createAtMost(most: AtMostOptions): Turn {
  let running = 0
  const waiting: (() => void)[] = []
  return async job => {
    if (running >= most.running) {
      if (waiting.length >= most.waiting) throw most.tooMany()
      await new Promise<void>(resolve => waiting.push(resolve))
    } else running += 1
    try {
      return await job()
    } finally {
      const next = waiting.shift()
      if (next) next()
      else running -= 1
    }
  }
}
