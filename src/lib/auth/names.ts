import {problem} from '../errors/index.js'
import {isPrincipal} from '../sshcert/index.js'

const maxLogins = 128

/** The one spelling under which a user is stored and counted: `Joe` and `joe` are the same person. */
export const userKey = (name: string): string => name.toLowerCase()

/** @throws invalid_input */
export function checkUserName(name: string): string {
  if (/^[A-Za-z_][A-Za-z0-9_.@+-]{0,63}$/.test(name)) return name
  throw problem('invalid_input', `${JSON.stringify(name.slice(0, 80))} cannot be a user name`, {
    hint: 'use letters, digits and . _ @ + -, beginning with a letter or _, at most 64 characters',
  })
}

/**
 * Logins as they will stand in certificates: exact names, no patterns, nothing a shell or ssh takes for an option.
 * Repeated ones are dropped.
 * @throws invalid_input
 */
export function checkLogins(logins: readonly string[]): string[] {
  if (logins.length === 0) {
    throw problem('invalid_input', 'a user needs at least one login', {
      hint: 'name them: users add joe joe,root',
    })
  }
  if (logins.length > maxLogins) throw problem('invalid_input', `a user can have ${maxLogins} logins at most`)
  for (const login of logins) {
    if (isPrincipal(login) && !login.startsWith('-')) continue
    throw problem('invalid_input', `${JSON.stringify(login.slice(0, 80))} cannot be a login`, {
      hint: 'a login is one exact name, without blanks, commas or *',
    })
  }
  return [...new Set(logins)]
}
