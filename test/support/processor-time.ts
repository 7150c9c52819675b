/** Processor time that this process has used so far, in ms. Unlike a clock, it does not run while others have the processor. */
export function processorTime(): number {
  const {user, system} = process.cpuUsage()
  return (user + system) / 1000
}

/** Processor time of `work`, in ms: the least of three runs, as a collection of garbage may fall into one. */
export function leastProcessorTime(work: () => void): number {
  const times = [1, 2, 3].map(() => {
    const before = processorTime()
    work()
    return processorTime() - before
  })
  return Math.min(...times)
}
