import type {SallyportError} from '../errors/index.js'
import {createTurn, type Turn} from './in-turn.js'

/** Runs the jobs of one key one after the other, whatever becomes of those before; jobs of different keys do not wait. */
export type KeyedTurn = <T>(key: string, job: () => Promise<T>) => Promise<T>

export interface KeyedTurnOptions {
  /** How many of one key may be there at a time, the one that runs among them. */
  most: number
  /** What is thrown to whoever comes then. */
  tooMany: () => SallyportError
}

/** Without options, as many may wait as there are. A key that nobody waits for takes no memory. */
export function createKeyedTurn(options?: KeyedTurnOptions): KeyedTurn {
  const lines = new Map<string, {there: number; inTurn: Turn}>()
  return async (key, job) => {
    const line = lines.get(key) ?? {there: 0, inTurn: createTurn()}
    if (options && line.there >= options.most) throw options.tooMany()
    lines.set(key, line)
    line.there++
    try {
      return await line.inTurn(job)
    } finally {
      line.there--
      if (line.there === 0) lines.delete(key)
    }
  }
}
