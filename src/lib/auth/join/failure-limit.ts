import {problem} from '../../errors/index.js'

export interface FailureLimitOptions {
  /** Failures of one address, and of all of them together, in a window. */
  perAddress: number
  total: number
  windowMilliseconds: number
  /** Unix ms. */
  now: () => number
}

/** Slows down whoever guesses. Those who are right are not counted. */
export interface FailureLimit {
  /** @throws rate_limited */
  check(address: string): void
  failed(address: string): void
}

/** Counts failures in windows of equal length that begin with the first failure; memory is bounded by `total`. */
export function createFailureLimit(options: FailureLimitOptions): FailureLimit {
  const {perAddress, total, windowMilliseconds, now} = options
  let began = Number.NEGATIVE_INFINITY
  let count = 0
  const counts = new Map<string, number>()
  const turnOver = (): void => {
    const at = now()
    // A clock that was set back begins anew.
    if (at >= began && at - began < windowMilliseconds) return
    began = at
    count = 0
    counts.clear()
  }
  return {
    check(address) {
      turnOver()
      if (count < total && (counts.get(address) ?? 0) < perAddress) return
      throw problem('rate_limited', 'too many wrong tokens', {hint: 'try again in a minute'})
    },
    failed(address) {
      turnOver()
      count++
      // Once the total is reached nobody is asked for an address any more.
      if (count <= total) counts.set(address, (counts.get(address) ?? 0) + 1)
    },
  }
}
