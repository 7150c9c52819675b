import {randomInt} from 'node:crypto'

/** Numbers of chance that come again with the same seed. */
export interface Chance {
  /** An integer from `least` up to, and without, `limit`. */
  between(least: number, limit: number): number
  /** For the messages of what is expected: how to have the same numbers again. */
  about: string
}

const variable = 'SALLYPORT_TEST_SEED'

/** Another seed at each run, unless SALLYPORT_TEST_SEED names one. The generator is mulberry32. */
export function chance(): Chance {
  const seed = Number(process.env[variable] ?? randomInt(2 ** 31))
  let state = seed
  const next = (): number => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
  return {
    between: (least, limit) => least + Math.floor(next() * (limit - least)),
    about: `${variable}=${seed}`,
  }
}
