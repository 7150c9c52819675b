import type {Failures, Records} from './records.js'

const maxFailures = 5
/** Failures further apart than this are slips, not guessing. */
const windowMilliseconds = 20 * 60_000
const lockMilliseconds = 20 * 60_000
const maxAttempts = 50

/** Pure: what one more failure at `now` makes of the record. The fifth within twenty minutes locks for as long. */
export function addFailure(failures: Failures | undefined, now: number): Failures {
  const recent = (failures?.times ?? []).filter(time => now - time < windowMilliseconds)
  const times = [...recent, now].slice(-maxFailures)
  const locked = failures?.lockedUntil !== undefined && failures.lockedUntil > now
  // Guessing on does not lengthen a lock: otherwise anybody could keep anybody else out for ever.
  if (locked) return {version: 1, times, lockedUntil: failures.lockedUntil}
  if (times.length < maxFailures) return {version: 1, times}
  return {version: 1, times: [], lockedUntil: now + lockMilliseconds}
}

export interface Lockout {
  /** Unix ms until which the user is locked, if so. */
  lockedUntil(user: string): Promise<number | undefined>
  /** Counts a failure; resolves to the end of the lock when this failure began one. */
  fail(user: string): Promise<number | undefined>
  clear(user: string): Promise<void>
}

/** Counts failed logins per user, in the backend so that a restart forgives nothing. */
export function createLockout(failures: Records<Failures>, now: () => number): Lockout {
  return {
    async lockedUntil(user) {
      const until = (await failures.get(user))?.value.lockedUntil
      return until !== undefined && until > now() ? until : undefined
    },
    async fail(user) {
      for (let attempt = 0; attempt < maxAttempts; attempt++) {
        const current = await failures.get(user)
        const next = addFailure(current?.value, now())
        const expires = Math.max(next.lockedUntil ?? 0, now() + windowMilliseconds)
        const written = current
          ? await failures.replace(user, current.revision, next, expires)
          : await failures.create(user, next, expires)
        if (written) return next.lockedUntil === current?.value.lockedUntil ? undefined : next.lockedUntil
      }
      return undefined
    },
    async clear(user) {
      await failures.delete(user)
    },
  }
}
