import {WireReader} from '../../sshcert/index.js'

// Channel requests of a session that are looked into (RFC 4254 §6); all others are opaque. Each came in one packet, which
// bounds what is in it to 34 kB.

export interface TerminalSize {
  /** Cells. */
  columns: number
  rows: number
}

/** Beyond this no terminal exists; a recording of it could not be played. */
const maxCells = 10_000

/** Zero is how a client without a terminal of its own says that it does not know. */
const bounded = (value: number, unknown: number): number =>
  value === 0 ? unknown : Math.min(value, maxCells)
const readSize = (reader: WireReader): TerminalSize => ({
  columns: bounded(reader.u32(), 80),
  rows: bounded(reader.u32(), 24),
})

/** pty-req (RFC 4254 §6.2). */
export function readPtyRequest(data: Buffer): TerminalSize & {term: string} {
  const reader = new WireReader(data)
  const term = reader.text().slice(0, 64)
  return {term, ...readSize(reader)}
}

/** window-change (RFC 4254 §6.7). */
export function readWindowChange(data: Buffer): TerminalSize {
  return readSize(new WireReader(data))
}

/** The one string of exec and subsystem requests (RFC 4254 §6.5). */
export function readCommand(data: Buffer): string {
  const reader = new WireReader(data)
  const command = reader.string()
  reader.end()
  return command.toString('utf8')
}

/** Whether an env request (RFC 4254 §6.4) may pass: none that changes how programs are loaded. */
export function mayPassEnvironment(data: Buffer): boolean {
  const name = new WireReader(data).string().toString('latin1')
  return /^[A-Za-z_][A-Za-z0-9_]*$/.test(name) && !/^(LD_|DYLD_)|^(NODE_OPTIONS|SSH_AUTH_SOCK)$/.test(name)
}

/** How a session ended, from exit-status and exit-signal (RFC 4254 §6.10), or why there is neither. */
export interface SessionExit {
  code?: number
  signal?: string
  reason?: string
}

export function readExit(type: string, data: Buffer): SessionExit {
  const reader = new WireReader(data)
  return type === 'exit-status' ? {code: reader.u32()} : {signal: reader.text().slice(0, 32)}
}
