import {problem} from '../errors/index.js'
import {isPrincipal} from '../sshcert/index.js'

const maxLogins = 128

/** The one spelling under which a user is stored and counted: `Joe` and `joe` are the same person. */
export const userKey = (name: string): string => name.toLowerCase()

/** Counts the codes of an account that were wrong at the beginning of a session; no user has such a name. */
export const sessionCounter = (name: string): string => `${userKey(name)}:session`

const userNameHint = 'use letters, digits and . _ @ + -, beginning with a letter or _, at most 64 characters'

/** Why this cannot be the name of a user, or undefined. */
export const userNameProblem = (name: string): string | undefined =>
  /^[A-Za-z_][A-Za-z0-9_.@+-]{0,63}$/.test(name)
    ? undefined
    : `${JSON.stringify(name.slice(0, 80))} cannot be a user name`

/** @throws invalid_input */
export function checkUserName(name: string): string {
  const wrong = userNameProblem(name)
  if (wrong === undefined) return name
  throw problem('invalid_input', wrong, {hint: userNameHint})
}

/**
 * Why these cannot be a user's logins, or undefined. They will stand in certificates: exact names, no patterns, nothing
 * a shell or ssh takes for an option.
 */
export function loginsProblem(logins: readonly string[]): string | undefined {
  if (logins.length === 0) return 'a user needs at least one login'
  if (logins.length > maxLogins) return `a user can have ${maxLogins} logins at most`
  const wrong = logins.find(login => !isPrincipal(login) || login.startsWith('-'))
  return wrong === undefined ? undefined : `${JSON.stringify(wrong.slice(0, 80))} cannot be a login`
}

/** Logins without repeated ones. @throws invalid_input */
export function checkLogins(logins: readonly string[]): string[] {
  const wrong = loginsProblem(logins)
  if (wrong === undefined) return [...new Set(logins)]
  const hint =
    logins.length === 0
      ? 'name them: users add joe joe,root'
      : 'a login is one exact name, without blanks, commas or *'
  throw problem('invalid_input', wrong, {hint})
}
