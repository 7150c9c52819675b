/** Work that has to be over before a connection counts as done. */
export interface Work {
  track(work: Promise<unknown>): void
  /** Resolves when nothing is under way any more, failed or not. */
  idle(): Promise<void>
}

export function trackWork(): Work {
  const pending = new Set<Promise<unknown>>()
  return {
    track(work) {
      pending.add(work)
      const settled = (): void => void pending.delete(work)
      work.then(settled, settled)
    },
    async idle() {
      while (pending.size > 0) await Promise.allSettled(pending)
    },
  }
}
