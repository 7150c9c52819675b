import {problem} from '../errors/index.js'
import {mayPassEnvironment, readPtyRequest} from '../session/index.js'
import {WireReader} from '../sshcert/index.js'
import type {Program, Terminal} from './process/types.js'

/** A shell's whole environment sent with `SendEnv *` is smaller; execve(2) would refuse far more. */
const maxVariables = 256
const maxVariablesBytes = 128 * 1024
/** There are 256 opcodes, of five bytes each (RFC 4254 §8). */
const maxModesBytes = 2048
const maxSignalName = 64

/** pty-req (RFC 4254 §6.2): string TERM, u32 columns, rows, width, height in pixels, string modes. */
export function readTerminal(data: Buffer): Terminal {
  const {term, columns, rows} = readPtyRequest(data)
  const reader = new WireReader(data)
  reader.string()
  for (let field = 0; field < 4; field++) reader.u32()
  const modes = reader.string()
  if (modes.length > maxModesBytes)
    throw problem('limit_exceeded', 'the terminal has more modes than there are')
  return {columns, rows, term: /^[\x21-\x7e]+$/.test(term) ? term : 'dumb', modes: Buffer.from(modes)}
}

/** Collects env requests (RFC 4254 §6.4). */
export interface WishedEnvironment {
  readonly variables: ReadonlyMap<string, string>
  /** Whether it was taken: bounded, and nothing that changes how programs are loaded. */
  add(data: Buffer): boolean
}

export function wishedEnvironment(): WishedEnvironment {
  const variables = new Map<string, string>()
  let bytes = 0
  return {
    variables,
    add(data) {
      bytes += data.length
      if (bytes > maxVariablesBytes || variables.size >= maxVariables || !mayPassEnvironment(data))
        return false
      const reader = new WireReader(data)
      const name = reader.string().toString('latin1')
      const value = reader.string().toString('utf8')
      if (value.includes('\0')) return false
      variables.set(name, value)
      return true
    },
  }
}

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
