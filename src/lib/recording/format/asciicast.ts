import {isAscii, isUtf8} from 'node:buffer'
import {EVENT_BYTES, LABEL_CHARACTERS} from '../limits.js'
import {terminalSize} from '../meta.js'
import type {RecordingMeta} from '../types.js'
import {incompleteTail} from './utf8.js'

// asciicast v2 (https://docs.asciinema.org/manual/asciicast/v2/), with codes of our own that begin with `x-`:
// players of v2 pass over codes that they do not know. docs/recording-format.md describes every one.

export type OutputStream = 'stdout' | 'stderr'

/** Output that is not UTF-8 or holds NULs, which its text leaves out: base64 of the exact bytes of the `o` event directly before. */
export const BYTES_CODE = 'x-bytes'
/** The `o` event before was written to stderr. After BYTES_CODE where both are there. */
export const STDERR_CODE = 'x-stderr'
/** First line of every chunk but the header: `<sequence> <digest of the chunk before>`. */
export const CHAIN_CODE = 'x-chain'
/** The only line of the last gzip member: the end record with its signature, as JSON in a string. */
export const SEAL_CODE = 'x-seal'

/** The header line, line break included. `sallyport` holds what asciicast has no field for. */
export function headerLine(meta: RecordingMeta): string {
  const {width, height, term, command, ...own} = meta
  return `${JSON.stringify({
    version: 2,
    width,
    height,
    timestamp: Math.floor(meta.startedAt / 1000),
    title: `${meta.user}: ${meta.login}@${meta.host}`,
    env: term === undefined ? {} : {TERM: term},
    ...(command === undefined ? {} : {command}),
    sallyport: {format: 1, ...own},
  })}\n`
}

/** One event line, line break included. `timeMs` counts from the start and is kept to the millisecond. */
export const eventLine = (timeMs: number, code: string, data: string): string =>
  `[${Math.round(timeMs) / 1000},"${code}",${JSON.stringify(data)}]\n`

/** Makes lines of what happens. Its only state is the beginning of a character whose rest has not come. */
export interface Encoder {
  output(timeMs: number, bytes: Uint8Array, stream?: OutputStream): string
  resize(timeMs: number, columns: number, rows: number): string
  marker(timeMs: number, label: string): string
  /** Lines for bytes held back, now known not to be a character. */
  flush(timeMs: number): string
  /** The bytes held back, and when the first of them came; undefined when there are none. */
  readonly held: HeldBytes | undefined
}

export interface HeldBytes {
  bytes: Buffer
  stream: OutputStream
  since: number
}

/**
 * @param terminal whether a terminal shows it. Without one, what is no text at all (an archive, the protocol of some
 * program) is kept in its exact bytes alone: as text of a screen it would mean nothing, at ten times the work.
 */
export function createEncoder({terminal = true}: {terminal?: boolean} = {}): Encoder {
  let held: HeldBytes | undefined

  const flush = (timeMs: number): string => {
    if (!held) return ''
    const {bytes, stream} = held
    held = undefined
    return outputLines(timeMs, bytes, stream, terminal)
  }

  return {
    flush,
    get held() {
      return held
    },
    output(timeMs, bytes, stream = 'stdout') {
      // Both streams share one order on the wire; holding bytes of one back past the other would change it.
      let lines = held && held.stream !== stream ? flush(timeMs) : ''
      let rest = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
      let since = held?.since ?? timeMs
      if (held) rest = Buffer.concat([held.bytes, rest])
      held = undefined
      while (rest.length > 0) {
        const piece = rest.subarray(0, EVENT_BYTES)
        const whole = piece.subarray(0, piece.length - incompleteTail(piece))
        if (whole.length === 0) {
          held = {bytes: Buffer.from(piece), stream, since}
          break
        }
        since = timeMs
        lines += outputLines(timeMs, whole, stream, terminal)
        rest = rest.subarray(whole.length)
      }
      return lines
    },
    resize(timeMs, wide, high) {
      const {columns, rows} = terminalSize(wide, high)
      return flush(timeMs) + eventLine(timeMs, 'r', `${columns}x${rows}`)
    },
    marker: (timeMs, label) => eventLine(timeMs, 'm', label.slice(0, LABEL_CHARACTERS)),
  }
}

function outputLines(timeMs: number, bytes: Buffer, stream: OutputStream, terminal: boolean): string {
  const isError = stream === 'stderr' ? eventLine(timeMs, STDERR_CODE, '') : ''
  // A terminal does nothing at a NUL, and in JSON each would take six bytes: a gigabyte of them, six gigabytes.
  const hasNul = bytes.includes(0)
  if (!hasNul && isAscii(bytes)) return eventLine(timeMs, 'o', bytes.toString('latin1')) + isError
  if (!hasNul && isUtf8(bytes)) return eventLine(timeMs, 'o', bytes.toString('utf8')) + isError
  const text = !terminal && isBinary(bytes) ? '' : (hasNul ? withoutNuls(bytes) : bytes).toString('utf8')
  return eventLine(timeMs, 'o', text) + eventLine(timeMs, BYTES_CODE, bytes.toString('base64')) + isError
}

/** How much of a piece is looked at to see what it is. */
const sampleBytes = 1024

/** A line with some odd bytes in it is still one that people read. */
const minBinaryBytes = 256

/** Not UTF-8, and one in twenty bytes is a control character that no text has. */
function isBinary(bytes: Buffer): boolean {
  if (bytes.length < minBinaryBytes || isUtf8(bytes)) return false
  const sample = bytes.subarray(0, sampleBytes)
  let controls = 0
  for (const byte of sample) if (byte < 32 && !(byte >= 7 && byte <= 13) && byte !== 27) controls++
  return controls * 20 > sample.length
}

/** A plain loop: on a run of NULs it is a hundred times faster than replacing them in a string. */
function withoutNuls(bytes: Buffer): Buffer {
  const kept = Buffer.allocUnsafe(bytes.length)
  let length = 0
  for (let at = 0; at < bytes.length; at++) {
    const byte = bytes[at] as number
    if (byte !== 0) kept[length++] = byte
  }
  return kept.subarray(0, length)
}
