/**
 * More than programs get done that wait for the answer to each request, with the smallest of files and no way to go. A
 * client that does more of it, only to fill the log, is slowed down.
 */
export const eventsPerSecond = 2000
/** Events that may come at once before that. */
export const burstOfEvents = 5000

/** How fast the events of one session may follow one another. */
export interface Pace {
  /** There was one. */
  take(): void
  /** Resolves when there may be more; undefined while there may. */
  rest(): Promise<void> | undefined
}

/** @param now milliseconds of a clock that nobody sets */
export function eventPace(now: () => number): Pace {
  const each = 1000 / eventsPerSecond
  /** When those that have come would all have come one by one. */
  let due = 0
  return {
    take() {
      due = Math.max(due, now()) + each
    },
    rest() {
      const ahead = due - now() - burstOfEvents * each
      if (ahead <= 0) return undefined
      return new Promise(resolve => void setTimeout(resolve, ahead).unref())
    },
  }
}
