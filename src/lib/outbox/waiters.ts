/** Those who wait until auth has what they gave. */
export interface Waiters {
  /** Resolves when auth has so many steps; rejects with why it cannot be told. */
  until(steps: number): Promise<void>
  /** Auth has so many steps. */
  reached(steps: number): void
  /** Auth cannot be told now: nobody waits for it. */
  fail(error: unknown): void
}

interface Waiter {
  steps: number
  resolve: () => void
  reject: (error: unknown) => void
}

export function createWaiters(): Waiters {
  let waiting: Waiter[] = []
  return {
    until: steps => new Promise((resolve, reject) => waiting.push({steps, resolve, reject})),
    reached(steps) {
      const served = waiting.filter(waiter => waiter.steps <= steps)
      waiting = waiting.filter(waiter => waiter.steps > steps)
      for (const {resolve} of served) resolve()
    },
    fail(error) {
      const failed = waiting
      waiting = []
      for (const {reject} of failed) reject(error)
    },
  }
}
