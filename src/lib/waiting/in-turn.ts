/** Runs one job after the other, whatever becomes of those before. */
export type Turn = <T>(job: () => Promise<T>) => Promise<T>

export function createTurn(): Turn {
  let last: Promise<unknown> = Promise.resolve()
  return job => {
    // Not `then(job)`: it would be given what the one before came to.
    const mine = last.then(() => job())
    last = mine.catch(() => undefined)
    return mine
  }
}
