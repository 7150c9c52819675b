import type {Readable, Writable} from 'node:stream'
import type {TerminalSize} from '../../session/index.js'

/** An account of this host, as the name service knows it (passwd(5)). */
export interface Account {
  name: string
  uid: number
  gid: number
  /** Absolute; it need not exist. */
  home: string
  /** Absolute. */
  shell: string
  /** Every group the user is in, the primary one included. */
  groups: readonly number[]
}

/** The terminal that a pty-req asked for (RFC 4254 §6.2). */
export interface Terminal extends TerminalSize {
  term: string
  /** Encoded terminal modes as they came (RFC 4254 §8); empty for the system's own. */
  modes: Buffer
}

/** What a session runs, always as a child of the account's shell: a nologin shell refuses all three. */
export type Program = {kind: 'shell'} | {kind: 'command'; command: string} | {kind: 'sftp'}

export interface ProcessSpec {
  account: Account
  program: Program
  /** The whole environment, as `processEnvironment` makes it; SSH_TTY is added here. */
  environment: Readonly<Record<string, string>>
  /** Absent: pipes. */
  terminal?: Terminal
}

/**
 * How the first process ended. `signal` is a name of RFC 4254 §6.10 (`KILL`), or `SIG@openssh.com` for a signal
 * without one there, as OpenSSH says it.
 */
export type ProcessExit = {code: number} | {signal: string; coreDumped: boolean}

/** A running program of a session. */
export interface NodeProcess {
  /** Also the id of its process group and session (setsid(2)). */
  pid: number
  /** Path of its terminal, when it has one. */
  tty?: string
  /** Ending it gives the program an end of file; a terminal has none to give. Bytes for a program that is gone are dropped. */
  stdin: Writable
  /** Pausing it pauses the program. Ends when all output has been read. */
  stdout: Readable
  /** Absent with a terminal. */
  stderr?: Readable
  /** Nothing happens without a terminal. */
  resize(size: TerminalSize): void
  /** Sends a signal by its name in RFC 4254 §6.10 to the process group, as the user; says whether there is such a signal. */
  signal(name: string): boolean
  /**
   * The user has left: the terminal goes, the process group gets SIGHUP, and SIGKILL if it lives on after a while.
   * What has left the process group lives on, as after a lost connection to sshd.
   */
  hangUp(): void
  /** The session is ended by force: as hangUp, but nothing of the process's session lives on. */
  kill(): void
  /** Never rejects. Output may still be waiting in `stdout` and `stderr`. */
  exited: Promise<ProcessExit>
}
