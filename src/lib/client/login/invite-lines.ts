import type {CreatedInvite} from '../../auth/contract.js'
import {formatRemaining} from './status.js'

/** What the administrator does with a link, below the line that says what was done. `now`: Unix ms. */
export function inviteLines(done: string, {user, url, expires}: CreatedInvite, now: number): string {
  // A link of one hour is good for an hour, not for 59 minutes, a moment after it was made.
  const lifetime = formatRemaining(expires - now + 999)
  return [done, `Give this link to ${user}; it is good for ${lifetime}, and once:`, url].join('\n')
}
