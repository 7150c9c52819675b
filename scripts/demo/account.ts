import {spawnSync} from 'node:child_process'
import {accessSync, constants} from 'node:fs'
import {userInfo} from 'node:os'
import {delimiter, join} from 'node:path'

export interface Account {
  name: string
  /** Absent where the account exists in no user database, as in some containers. */
  shell?: string
}

export function ownAccount(): Account {
  try {
    const {username, shell} = userInfo()
    return {name: username, ...(shell ? {shell} : {})}
  } catch {
    // The only way to learn that nobody knows this user id.
    return {name: 'demo'}
  }
}

const sshdPlaces = ['/usr/sbin/sshd', '/usr/local/sbin/sshd', '/opt/homebrew/sbin/sshd']

/** sshd runs itself again by its own path, which must be absolute. */
export const findSshd = (): string | undefined => sshdPlaces.find(isProgram)

/** Whether ssh can be shown: it will not run for a user id without an account. */
export const stockClient = ({shell}: Account): boolean =>
  shell !== undefined &&
  (process.env.PATH ?? '').split(delimiter).some(directory => isProgram(join(directory, 'ssh')))

/** Why an sshd run by this account could not let it in; undefined when it can. */
export function sshdObstacle({name, shell}: Account): string | undefined {
  if (!findSshd()) return 'no sshd is installed'
  if (shell === undefined) return 'sshd knows no account of this user id'
  if (/\/(nologin|false)$/.test(shell) || !isProgram(shell)) return `the account ${name} has no login shell`
  return isLocked(name) ? `the account ${name} is locked for sshd` : undefined
}

/**
 * Without PAM, sshd lets nobody in whose password entry begins with `!`. Asked of the system as sshd asks it: not all
 * entries are in a file.
 */
function isLocked(name: string): boolean {
  const {status, stdout} = spawnSync('getent', ['shadow', name], {encoding: 'utf8'})
  return status === 0 && stdout.split(':')[1]?.startsWith('!') === true
}

function isProgram(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}
