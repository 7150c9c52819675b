/**
 * Connections of one address in a minute. A machine that joins needs three and one that has joined keeps one, so that
 * hundreds behind one NAT can come back at once; whoever guesses tokens needs one for each few guesses.
 */
const maxArrivals = 300
const windowMilliseconds = 60_000
/** Beyond this nobody new comes in before the minute is over. */
const maxAddresses = 20_000

export interface Arrivals {
  /** Whether one more connection of this address may stay. `first` of those that may not, to be told of. */
  admit(address: string): {admitted: true} | {admitted: false; first: boolean}
}

/**
 * Keeps anybody from using up what the auth service gives to all strangers together.
 * @param monotonic milliseconds that no setting of the clock changes; only differences count
 */
export function createArrivals(monotonic: () => number = () => performance.now()): Arrivals {
  const counts = new Map<string, number>()
  let began = Number.NEGATIVE_INFINITY
  return {
    admit(address) {
      if (monotonic() - began >= windowMilliseconds) {
        began = monotonic()
        counts.clear()
      }
      const count = counts.get(address) ?? 0
      if (count === 0 && counts.size >= maxAddresses) return {admitted: false, first: false}
      counts.set(address, count + 1)
      return count < maxArrivals ? {admitted: true} : {admitted: false, first: count === maxArrivals}
    },
  }
}
