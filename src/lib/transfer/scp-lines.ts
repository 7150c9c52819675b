import {unreadable} from './packets.js'
import {words} from './path-name.js'

/** Longest line of the protocol; names are at most 255 bytes on Linux, and encoded four times as long. */
const maxLineBytes = 8 * 1024
const WARNING = 1
const FATAL = 2
const NEWLINE = 10

/** A zero byte: yes, or the end of a file. */
export const OK = 0

/** What the source says. */
export type Line =
  | {kind: 'error'; text: string}
  | {kind: 'times'}
  | {kind: 'leave'}
  | {kind: 'file'; size: number; name: Buffer}
  | {kind: 'directory'; name: Buffer}

/** With what an answer begins that is no OK, */
export const answerStarts: ReadonlySet<number> = new Set([WARNING, FATAL])
/** and a line of the source. */
export const lineStarts: ReadonlySet<number> = new Set([...answerStarts, ...Buffer.from('CDET')])

/** @throws protocol_error */
export function checkStart(byte: number | undefined, starts: ReadonlySet<number>): void {
  if (byte === undefined || !starts.has(byte)) throw unreadable('a line that is none of the protocol')
}

/** @throws protocol_error */
export function parseLine(line: Buffer): Line {
  if (line[0] === WARNING || line[0] === FATAL) return {kind: 'error', text: errorLine(line)}
  const text = line.toString('latin1')
  if (text === 'E') return {kind: 'leave'}
  if (/^T\d{1,20} \d{1,6} \d{1,20} \d{1,6}$/.test(text)) return {kind: 'times'}
  const match = /^([CD])[0-7]{4} (\d{1,16}) (.+)$/s.exec(text)
  const size = Number(match?.[2])
  if (!match || !Number.isSafeInteger(size)) throw unreadable('a line that is none of the protocol')
  const name = Buffer.from(match[3] ?? '', 'latin1')
  return match[1] === 'C' ? {kind: 'file', size, name} : {kind: 'directory', name}
}

/** The words of a warning or an error, which its first byte says that it is. */
export function errorLine(line: Buffer): string {
  return words(line.subarray(1)).replace(/^scp: /, '') || 'it failed'
}

/** Gathers a line that arrives in pieces. */
export function createLine() {
  let pieces: Buffer[] = []
  let size = 0
  let done = false
  return {
    get isEmpty() {
      return size === 0
    },
    /** Takes up to the line break; returns how many bytes that were. */
    take(bytes: Buffer, at: number): number {
      const newline = bytes.indexOf(NEWLINE, at)
      const end = newline < 0 ? bytes.length : newline
      if (size + end - at > maxLineBytes) throw unreadable('a line is longer than 8 kB')
      // A copy, so that a line in single bytes does not hold on to what they came in.
      pieces.push(Buffer.from(bytes.subarray(at, end)))
      size += end - at
      done = newline >= 0
      return newline < 0 ? end - at : newline + 1 - at
    },
    /** The line without its break, once it is there. */
    finished(): Buffer | undefined {
      if (!done) return undefined
      const line = Buffer.concat(pieces)
      pieces = []
      size = 0
      done = false
      return line
    },
  }
}
