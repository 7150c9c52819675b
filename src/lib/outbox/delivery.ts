/**
 * What came of an attempt. `more` and `done`: something was told, and there is more or not. `nothing`: there was nothing
 * to tell. `later`: it cannot be told now for a reason that lies here, so that the lane rests. Of the connection the last
 * two say nothing.
 */
export type Attempted = 'more' | 'done' | 'nothing' | 'later'

export interface DeliveryOptions {
  /** Tells one batch of a lane. */
  attempt(lane: string): Promise<Attempted>
  /** Whether the failure is of the connection, and not of what was told. */
  isAway(error: unknown): boolean
  /** Told once when the connection fails, and once when something came through again. */
  onAway(error: unknown): void
  onBack(): void
  /** Milliseconds of a clock that nobody sets. */
  now: () => number
  /** 0 to 1. */
  random: () => number
  /** Pause after a failure; doubled up to `longestMs`. */
  firstMs: number
  longestMs: number
}

/** Sees to it that every lane is delivered. */
export interface Delivery {
  /** The lane has something to tell. */
  add(lane: string): void
  /** Tries at once: there is reason to think that the connection is back. */
  wake(): void
  /** Why nothing can be told now; undefined while it can. */
  readonly away: unknown
  /** Tries no more; resolves when what is under way is done. */
  close(): Promise<void>
}

/** Lanes that are told at a time. */
const PARALLEL = 8

/**
 * Delivers lanes beside one another. While the connection is away one lane at a time tries it, each time another one. A
 * lane whose own steps fail rests longer each time, and holds nobody up.
 */
export function createDelivery(options: DeliveryOptions): Delivery {
  const {attempt, isAway, onAway, onBack, now, random, firstMs, longestMs} = options
  const waiting = new Set<string>()
  const active = new Map<string, Promise<void>>()
  /** Added again while they were active. */
  const again = new Set<string>()
  const resting = new Map<string, {until: number}>()
  /** Failures of a lane while the connection was there. */
  const failures = new Map<string, number>()
  let gate: {error: unknown; failures: number; until: number} | undefined
  let timer: NodeJS.Timeout | undefined
  let closed = false

  const pause = (failed: number): number =>
    Math.min(firstMs * 2 ** Math.min(failed - 1, 20), longestMs) * (0.5 + random() / 2)

  const run = (): void => {
    clearTimeout(timer)
    if (closed) return
    const time = now()
    for (const [lane, {until}] of resting) {
      if (until > time) continue
      resting.delete(lane)
      waiting.add(lane)
    }
    const most = gate ? 1 : PARALLEL
    while (active.size < most && waiting.size > 0 && (gate?.until ?? 0) <= time) {
      const [lane] = waiting
      if (lane === undefined) break
      waiting.delete(lane)
      active.set(lane, deliver(lane, gate !== undefined))
    }
    sleep(time)
  }

  const sleep = (time: number): void => {
    const wakes = [...resting.values()].map(({until}) => until)
    if (gate && waiting.size > 0 && active.size === 0) wakes.push(gate.until)
    if (wakes.length === 0) return
    timer = setTimeout(run, Math.max(1, Math.min(...wakes) - time)).unref()
  }

  const deliver = async (lane: string, isProbe: boolean): Promise<void> => {
    try {
      const came = await attempt(lane)
      if (came === 'later') rest(lane)
      else failures.delete(lane)
      if (gate && (came === 'more' || came === 'done')) open()
      if (came === 'more') waiting.add(lane)
    } catch (error) {
      failed(lane, error, isProbe)
    }
    active.delete(lane)
    if (again.delete(lane) && !resting.has(lane)) waiting.add(lane)
    run()
  }

  const rest = (lane: string): void => {
    const count = (failures.get(lane) ?? 0) + 1
    failures.set(lane, count)
    resting.set(lane, {until: now() + pause(count)})
  }

  const failed = (lane: string, error: unknown, isProbe: boolean): void => {
    const away = isAway(error)
    if (isProbe && away && gate) {
      // Not the fault of the lane: next time another one tries.
      const count = gate.failures + 1
      gate = {error, failures: count, until: now() + pause(count)}
      waiting.add(lane)
      return
    }
    rest(lane)
    if (!away && gate) open()
    if (!away || gate) return
    gate = {error, failures: 1, until: now() + pause(1)}
    onAway(error)
  }

  /** Those that only met the end of the connection go on; those that keep failing rest on. */
  const open = (): void => {
    gate = undefined
    for (const lane of resting.keys()) {
      if ((failures.get(lane) ?? 0) > 1) continue
      resting.delete(lane)
      waiting.add(lane)
    }
    onBack()
  }

  return {
    add(lane) {
      if (resting.has(lane)) return
      if (active.has(lane)) again.add(lane)
      else waiting.add(lane)
      run()
    },
    wake() {
      if (!gate) return
      gate = {...gate, until: 0}
      const [lane] = resting.keys()
      if (waiting.size === 0 && lane !== undefined) resting.set(lane, {until: 0})
      run()
    },
    get away() {
      return gate?.error
    },
    async close() {
      closed = true
      clearTimeout(timer)
      await Promise.all(active.values())
    },
  }
}
