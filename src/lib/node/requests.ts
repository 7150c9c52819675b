import {WireReader} from '../sshcert/index.js'
import type {Program} from './process/index.js'

const maxSignalName = 64

/** signal (RFC 4254 §6.9): a name without `SIG`. */
export const readSignal = (data: Buffer): string =>
  new WireReader(data).string().subarray(0, maxSignalName).toString('latin1')

/** What is run instead of everything that is asked for, and what the client asked for then. */
export interface Choice {
  program: Program
  /** Undefined for a shell. */
  command?: string
  original?: string
}

/**
 * What a session runs. A certificate with a forced command runs that and nothing else, whatever is asked for
 * (PROTOCOL.certkeys; `internal-sftp` is sshd's word for its SFTP server). Undefined: a subsystem we do not have. Pure.
 * @param asked the command of exec, the name of a subsystem; undefined for a shell
 */
export function chooseProgram(type: string, asked: string | undefined, forced?: string): Choice | undefined {
  const original = asked === undefined ? {} : {original: asked}
  if (forced === 'internal-sftp') return {program: {kind: 'sftp'}, command: 'sftp', ...original}
  if (forced !== undefined) return {program: {kind: 'command', command: forced}, command: forced, ...original}
  if (asked === undefined) return {program: {kind: 'shell'}}
  if (type === 'exec') return {program: {kind: 'command', command: asked}, command: asked}
  return asked === 'sftp' ? {program: {kind: 'sftp'}, command: asked} : undefined
}
