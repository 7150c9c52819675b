import {type ShellWord, shellWords} from './shell-words.js'
import type {Direction} from './types.js'

/** What a session is going to do, by the command or subsystem that was asked for. */
export type TransferCommand =
  | {protocol: 'sftp'}
  | ScpCommand
  /** Its content is not looked into. */
  | {protocol: 'rsync'; direction: Direction; paths: string[]}

/** The side of scp that runs on the host. */
export interface ScpCommand {
  protocol: 'scp'
  direction: Direction
  /** `-d`: the target has to be a directory. */
  intoDirectory: boolean
  /** As given, before the shell expands anything. */
  paths: string[]
}

const scpPrograms: ReadonlySet<string> = new Set(['scp', '/usr/bin/scp', '/bin/scp', '/usr/local/bin/scp'])

/** By its whole path alone: what a user may put under another one is no sftp-server, and belongs on record. */
const sftpPrograms: ReadonlySet<string> = new Set([
  '/usr/lib/openssh/sftp-server',
  '/usr/lib/ssh/sftp-server',
  '/usr/lib/sftp-server',
  '/usr/lib/misc/sftp-server',
  '/usr/libexec/sftp-server',
  '/usr/libexec/openssh/sftp-server',
  '/usr/local/libexec/sftp-server',
])
const rsyncPrograms: ReadonlySet<string> = new Set([
  'rsync',
  '/usr/bin/rsync',
  '/bin/rsync',
  '/usr/local/bin/rsync',
])

/**
 * The transfer that a session is for, if it is one. A command counts only where the login shell will run that one
 * program and nothing else; what is not understood is no transfer, and is recorded like any command.
 */
export function transferCommand(kind: string, command: string | undefined): TransferCommand | undefined {
  if (kind === 'subsystem') return command === 'sftp' ? {protocol: 'sftp'} : undefined
  if (kind !== 'exec' || command === undefined) return undefined
  const words = shellWords(command)
  if (words?.[0]?.text === 'exec') words.shift()
  const [program, ...args] = words ?? []
  if (!program || program.glob) return undefined
  if (sftpPrograms.has(program.text)) return {protocol: 'sftp'}
  if (scpPrograms.has(program.text)) return scpCommand(args)
  if (rsyncPrograms.has(program.text)) return rsyncCommand(args)
  return undefined
}

function scpCommand(args: readonly ShellWord[]): ScpCommand | undefined {
  const rest = [...args]
  const options = new Set<string>()
  for (let first = rest[0]; first?.text.startsWith('-'); first = rest[0]) {
    rest.shift()
    if (first.text === '--') break
    // -v, -q and what concerns connections have no say in the protocol.
    if (!/^-[tfrpdvq]+$/.test(first.text)) return undefined
    for (const option of first.text.slice(1)) options.add(option)
  }
  if (options.has('t') === options.has('f') || rest.length === 0) return undefined
  return {
    protocol: 'scp',
    direction: options.has('t') ? 'upload' : 'download',
    intoDirectory: options.has('d'),
    paths: rest.map(({text}) => text),
  }
}

function rsyncCommand(args: readonly ShellWord[]): TransferCommand | undefined {
  if (args[0]?.text !== '--server') return undefined
  const rest = args.map(({text}) => text)
  // `--server [--sender] options . path…`: the dot stands where the local side has its source.
  const dot = rest.indexOf('.')
  return {
    protocol: 'rsync',
    direction: rest.includes('--sender') ? 'download' : 'upload',
    paths: dot < 0 ? [] : rest.slice(dot + 1),
  }
}
