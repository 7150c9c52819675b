import {maxNotedFiles} from '../../audit/lost-transfer.js'

/** A file that is open for longer is noted: as much as may be missing of a recording after a crash. */
const noteAfterMilliseconds = 1000

/** The files that a session has open, of which those that stay open go on record before they are closed. */
export interface OpenFiles<Facts> {
  opened(id: number, facts: Facts): void
  /** Whether it is noted that the file is open. */
  isNoted(id: number): boolean
  closed(id: number): void
  /** Notes nothing more. */
  stop(): void
}

/** @param note puts an open file on record */
export function watchOpenFiles<Facts>(note: (id: number, facts: Facts) => void): OpenFiles<Facts> {
  const timers = new Map<number, NodeJS.Timeout>()
  const noted = new Set<number>()
  return {
    opened(id, facts) {
      const consider = (): void => {
        timers.delete(id)
        if (noted.size >= maxNotedFiles) return
        noted.add(id)
        note(id, facts)
      }
      timers.set(id, setTimeout(consider, noteAfterMilliseconds).unref())
    },
    isNoted: id => noted.has(id),
    closed(id) {
      clearTimeout(timers.get(id))
      timers.delete(id)
      noted.delete(id)
    },
    stop() {
      for (const timer of timers.values()) clearTimeout(timer)
      timers.clear()
    },
  }
}
