/** Runs one job after the other, whatever becomes of those before. */
export type Turn = <T>(job: () => Promise<T>) => Promise<T>

export function createTurn(): Turn {
  let last: Promise<unknown> = Promise.resolve()
  return job => {
    const mine = last.then(job, job)
    last = mine.catch(() => undefined)
    return mine
  }
}
