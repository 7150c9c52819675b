import {isMissing, readSmallFile} from '../../durable/index.js'
import {problem} from '../../errors/index.js'
import {DAY_MS} from '../../names/index.js'

/** The message is for a person. */
const maxMessageLength = 200

/**
 * The day from which an account is closed, by its line of shadow(5): days since 1970; undefined for never.
 * Administrators shut an account off with `usermod --expiredate 1`, since a locked password says nothing to a key.
 */
export function parseExpiry(line: string): number | undefined {
  const days = line.split(':')[7]
  return days !== undefined && /^\d{1,9}$/.test(days) ? Number(days) : undefined
}

/** @throws access_denied the account has expired by then (`now` in Unix ms, as the host counts days: UTC) */
export function refuseExpired(name: string, line: string, now: number): void {
  const expiry = parseExpiry(line)
  if (expiry === undefined || now < expiry * DAY_MS) return
  throw problem('access_denied', `the account ${name} of this host has expired`, {
    hint: "the host's administrator can extend it (chage -E)",
  })
}

/**
 * An administrator closes a host to everybody but root by a file, whose first line says why (nologin(5)).
 * @throws unavailable with that line
 */
export async function refuseWhileClosed(uid: number, path: string): Promise<void> {
  if (uid === 0) return
  let text: string
  try {
    text = await readSmallFile(path)
  } catch (error) {
    if (isMissing(error)) return
    throw problem('unavailable', 'this host is closed for logins', {cause: error})
  }
  const reason = [...(text.trim().split('\n')[0] ?? '')].filter(letter => letter >= ' ').join('')
  throw problem(
    'unavailable',
    `this host is closed for logins${reason && `: ${reason.slice(0, maxMessageLength)}`}`,
  )
}
