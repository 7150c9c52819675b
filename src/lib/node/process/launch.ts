import {existsSync} from 'node:fs'
import {basename} from 'node:path'
import {problem} from '../../errors/index.js'
import type {Account, Program} from './types.js'

/** Where a shell is that can give a program another name than its path (`exec -a`). */
const bashes = ['/bin/bash', '/usr/bin/bash', '/usr/local/bin/bash']

/** Node raises the limit of open files for itself; programs that count on select(2) want the usual one back. */
const usualOpenFiles = 1024

/** Where the program's environment is read from, as a shell script of assignments. */
export const environmentDescriptor = 3

/**
 * What setpriv sees, which runs as root: nothing that a user has a say in. Even without LD_PRELOAD there are variables
 * that make programs load code (GCONV_PATH, GLIBC_TUNABLES, …).
 */
export const launchEnvironment: Readonly<Record<string, string>> = {PATH: '/usr/bin:/bin'}

const setprivs = ['/usr/bin/setpriv', '/bin/setpriv', '/usr/local/bin/setpriv']

/**
 * Runs as the user, in place of the shell it ends as: environment, directory, terminal and limits are taken with the
 * user's own rights. Arguments: home, terminal, name of the program, the program and its arguments.
 * Opening the terminal makes it the controlling one, since the process leads a new session without one.
 */
const script = (close: string, execute: string): string => `
{ eval "$(cat <&${environmentDescriptor})"; } 2>/dev/null
exec ${environmentDescriptor}<&-
${close}
umask 022; ulimit -S -n ${usualOpenFiles} 2>/dev/null
[ -z "$2" ] || exec 0<>"$2" 1>&0 2>&0
cd "$1" 2>/dev/null || cd /
name=$3; shift 3; unset OLDPWD
${execute}`

const bashScript = script(
  `for fd in /dev/fd/*; do fd=\${fd##*/}; [ "$fd" -le 2 ] || eval "exec $fd>&-"; done`,
  'exec -a "$name" "$@"',
)
/** A shell of POSIX neither renames programs nor closes descriptors above 9. */
const posixScript = script('', 'case $name in -*) exec "$@" -l;; *) exec "$@";; esac')

export interface Launch {
  account: Account
  program: Program
  /** Path of the host's SFTP server, for a program of that kind. */
  sftpServer?: string
  /** Path of the terminal. */
  tty?: string
  /** We are root: the user's ids are taken on first. */
  asRoot: boolean
  /** Path of bash, or undefined where there is none. */
  bash: string | undefined
}

/** The command line that becomes the session's first process. Pure. */
export function commandLine(launch: Launch): [command: string, ...args: string[]] {
  const {account, program, sftpServer = '', tty = '', asRoot, bash} = launch
  const shellName = basename(account.shell)
  const ends =
    program.kind === 'shell'
      ? [`-${shellName}`, account.shell]
      : [shellName, account.shell, '-c', commandOf(program, sftpServer)]
  const shell = bash
    ? ([bash, '--norc', '--noprofile', '-c', bashScript] as const)
    : (['/bin/sh', '-c', posixScript] as const)
  const [first, ...rest] = [...shell, 'sallyport', account.home, tty, ...ends]
  return asRoot ? asUser(account, [first, ...rest]) : [first, ...rest]
}

/** A command line with the ids and all groups of an account, to be run by root (setpriv of util-linux). */
export const asUser = (
  {uid, gid, groups}: Account,
  command: readonly string[],
): [command: string, ...args: string[]] => [
  findSetpriv(),
  `--reuid=${uid}`,
  `--regid=${gid}`,
  // Looked up by name: `--init-groups` would go by the uid, which two names may share.
  groups.length > 0 ? `--groups=${groups.join(',')}` : '--clear-groups',
  '--',
  ...command,
]

const commandOf = (program: Exclude<Program, {kind: 'shell'}>, sftpServer: string): string =>
  program.kind === 'command' ? program.command : `exec ${sftpServer}`

export const findBash = (): string | undefined => bashes.find(path => existsSync(path))

/** @throws unavailable without it nobody's groups can be taken on */
export function findSetpriv(candidates: readonly string[] = setprivs): string {
  const found = candidates.find(path => existsSync(path))
  if (found !== undefined) return found
  throw problem('unavailable', 'this host has no setpriv to start sessions as other users with', {
    hint: 'have util-linux (setpriv) installed on it',
  })
}

const variable = /^[A-Za-z_][A-Za-z0-9_]*$/

/** An environment as a script of assignments. Names that are none, and values that no environment can hold, are left out. */
export const environmentScript = (environment: Readonly<Record<string, string>>): string =>
  Object.entries(environment)
    .filter(([name, value]) => variable.test(name) && !value.includes('\0'))
    .map(([name, value]) => `export ${name}='${value.replaceAll("'", "'\\''")}'\n`)
    .join('')
