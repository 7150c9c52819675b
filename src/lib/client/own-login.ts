import {userInfo} from 'node:os'
import {problem} from '../errors/index.js'

/**
 * The name of whoever runs this process, which ssh takes for the login where none is given.
 * @throws usage where the user id has no account, as in some containers
 */
export function ownLogin(): string {
  try {
    return userInfo().username
  } catch (cause) {
    throw problem('usage', 'no name is given, and the user id of this process has none', {
      hint: 'name the user (--user) or the login (-l NAME, or NAME@HOST)',
      cause,
    })
  }
}
