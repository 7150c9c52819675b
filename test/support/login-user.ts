import {execFileSync} from 'node:child_process'
import {randomBytes} from 'node:crypto'
import {atEnd} from './cleanup.js'

export const isRoot = process.getuid?.() === 0

/** Options of tests that are skipped without it. */
export const needsRoot = {meta: {lack: 'it needs root'}}

/** Why tests that need other users than ours are left out, to be printed by whoever leaves them out. */
export const withoutRoot = 'only root can start programs as another user'

export interface LoginUser {
  name: string
  uid: number
  gid: number
  home: string
  /** Name and id of a group of its own that the user is in besides the primary one. */
  group: {name: string; gid: number}
}

/** Creates an account of this machine with a home, bash and a supplementary group; it is removed when the test file ends. */
export function createLoginUser(options: {shell?: string} = {}): LoginUser {
  const name = `sp${randomBytes(5).toString('hex')}`
  const group = `${name}g`
  execFileSync('groupadd', [group])
  atEnd(() => void execFileSync('groupdel', [group], {stdio: 'ignore'}))
  execFileSync('useradd', ['-m', '-s', options.shell ?? '/bin/bash', '-G', group, name], {stdio: 'pipe'})
  atEnd(() => removeUser(name))
  const id = (flag: string): number => Number(execFileSync('id', [flag, name], {encoding: 'utf8'}))
  const gid = Number(execFileSync('getent', ['group', group], {encoding: 'utf8'}).split(':')[2])
  return {name, uid: id('-u'), gid: id('-g'), home: `/home/${name}`, group: {name: group, gid}}
}

function removeUser(name: string): void {
  try {
    execFileSync('pkill', ['-KILL', '-u', name])
  } catch {
    // Nothing of the user runs any more, as it should be.
  }
  execFileSync('userdel', ['-r', '-f', name], {stdio: 'ignore'})
}
