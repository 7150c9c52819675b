import {problem, type SallyportError} from '../../errors/index.js'
import type {Failures, Records} from '../records.js'

const maxFailures = 5
/** Failures further apart than this are slips, not guessing. */
const windowMilliseconds = 20 * 60_000
const lockMilliseconds = 20 * 60_000
const maxAttempts = 50

/** Pure: what one more failure at `now` makes of the record. The fifth within twenty minutes locks for as long. */
function addFailure(failures: Failures | undefined, now: number): Failures {
  const recent = (failures?.times ?? []).filter(time => now - time < windowMilliseconds)
  const times = [...recent, now].slice(-maxFailures)
  if (times.length < maxFailures) return {version: 1, times}
  return {version: 1, times: [], lockedUntil: now + lockMilliseconds}
}

/** @param until Unix ms */
export const accountLocked = (until: number): SallyportError =>
  problem(
    'account_locked',
    `the account is locked until ${new Date(until).toISOString()} after too many failures`,
    {hint: 'wait, or ask an administrator to run `sallyport users unlock`'},
  )

export interface Lockout {
  /** Unix ms until which the user is locked, if so. */
  lockedUntil(user: string): Promise<number | undefined>
  /**
   * Counts an attempt as failed before it is tried, so that attempts at the same time cannot all slip under the
   * limit; `clear` takes it back when it succeeds. `refused`: the user is locked and must not be tried.
   */
  charge(user: string): Promise<{refused: boolean; lockedUntil: number | undefined}>
  clear(user: string): Promise<void>
}

/** Counts failed logins per name, whether or not there is such a user, in the backend: a restart forgives nothing. */
export function createLockout(failures: Records<Failures>, now: () => number): Lockout {
  const isLocked = (record: Failures | undefined): boolean => (record?.lockedUntil ?? 0) > now()
  return {
    async lockedUntil(user) {
      const record = (await failures.get(user))?.value
      return isLocked(record) ? record?.lockedUntil : undefined
    },
    async charge(user) {
      for (let attempt = 0; attempt < maxAttempts; attempt++) {
        const current = await failures.get(user)
        if (isLocked(current?.value)) return {refused: true, lockedUntil: current?.value.lockedUntil}
        const next = addFailure(current?.value, now())
        const expires = Math.max(next.lockedUntil ?? 0, now() + windowMilliseconds)
        const written = current
          ? await failures.replace(user, current.revision, next, expires)
          : await failures.create(user, next, expires)
        if (written) return {refused: false, lockedUntil: next.lockedUntil}
      }
      throw problem('rate_limited', 'too many logins of this user at once', {hint: 'try again in a moment'})
    },
    async clear(user) {
      await failures.delete(user)
    },
  }
}
