const maxMissedPings = 3

export interface KeepAlive {
  /** The peer has sent something. */
  heard(): void
  stop(): void
}

/**
 * Calls `ping` after each `interval` milliseconds in which nothing was heard, and `lost` once three pings in a row have
 * brought nothing. With an interval of 0 it does nothing.
 */
export function startKeepAlive(
  interval: number,
  {ping, lost}: {ping: () => void; lost: () => void},
): KeepAlive {
  if (interval === 0) return {heard: () => undefined, stop: () => undefined}
  let quiet = true
  let missed = 0
  const timer = setInterval(() => {
    if (quiet && missed >= maxMissedPings) return lost()
    if (quiet) {
      missed++
      ping()
    }
    quiet = true
  }, interval)
  timer.unref()
  return {
    heard() {
      quiet = false
      missed = 0
    },
    stop: () => clearInterval(timer),
  }
}
