import {readFileSync} from 'node:fs'
import {uptime} from 'node:os'

/** The time as a machine knows it. */
export interface MachineClock {
  /** Unix ms; somebody may set it. */
  wall: number
  /** Nobody sets what has passed since the machine was started; absent where a start cannot be told from another. */
  boot?: {id: string; uptime: number}
}

/** When something was known to be so, in a way that outlives the process and the setting of a clock. */
export interface Stamp extends MachineClock {
  /** Unix ms at which it was so. */
  fetched: number
  /** Ms that had passed since then, by whichever clock says more, when the rest of the stamp was taken. */
  age: number
}

/** What a clock may be set back by without anybody having meddled with it. */
const toleranceMilliseconds = 60_000

/**
 * How old something is, in ms: as the clock says, and no younger than it was when the stamp was taken and has become since.
 * Undefined where nobody can say: the machine was started anew, and its clock is behind the stamp. Pure.
 */
export function ageOf({fetched, age, wall, boot}: Stamp, clock: MachineClock): number | undefined {
  const sinceBoot = boot && clock.boot?.id === boot.id ? clock.boot.uptime - boot.uptime : undefined
  const since = sinceBoot ?? clock.wall - wall
  if (since < -toleranceMilliseconds) return undefined
  return Math.max(clock.wall - fetched, age + Math.max(since, 0))
}

/** The clocks of this machine. `now` is Unix ms. */
export function machineClock(now: () => number): MachineClock {
  const id = bootId()
  return {wall: now(), ...(id !== undefined && {boot: {id, uptime: Math.round(uptime() * 1000)}})}
}

function bootId(): string | undefined {
  try {
    return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()
  } catch {
    // Not Linux: the clock on the wall is all there is.
    return undefined
  }
}
