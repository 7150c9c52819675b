import {problem} from '../../errors/index.js'
import {BYTES_CODE, type OutputStream, SEAL_CODE, STDERR_CODE} from '../format/asciicast.js'
import {LINE_BYTES} from '../limits.js'
import {terminalSize} from '../meta.js'
import {type CastEnd, nothingToRead, type ReadState, readContents, sealedEnd} from './contents.js'
import {isObject, parseEvent, parseJson, parseSize} from './event-line.js'

/** What the first line of a cast says; `own` is our part of it, as it stands, unchecked. */
export interface CastHeader {
  width: number
  height: number
  /** Unix seconds. */
  timestamp?: number
  title?: string
  term?: string
  command?: string
  own?: Record<string, unknown>
}

export interface OutputEvent {
  kind: 'output'
  timeMs: number
  text: string
  stream: OutputStream
  /** The exact bytes where `text` could not hold them. */
  bytes?: Buffer
}

export type CastEvent =
  | OutputEvent
  | {kind: 'resize'; timeMs: number; columns: number; rows: number}
  | {kind: 'marker'; timeMs: number; label: string}

/** The bytes that went over the wire. */
export const exactBytes = (event: OutputEvent): Buffer => event.bytes ?? Buffer.from(event.text)

export interface Cast {
  header: CastHeader
  /** To be read once. Throws `recording_corrupt` at the first damage. */
  events: AsyncIterable<CastEvent>
  end(): CastEnd
}

/**
 * Reads an asciicast v2, gzip members or plain text, a chunk at a time. Any prefix can be read; what is left of a
 * line that was cut is left out. Throws `recording_corrupt` when not even the header is there.
 */
export async function readCast(source: AsyncIterable<Uint8Array>): Promise<Cast> {
  const state: ReadState = {end: 'open'}
  const lines = readLines(readContents(source, state), state)
  const first = await lines.next()
  if (first.done) throw nothingToRead(state)
  const header = await parseOrClose(first.value, lines)
  return {header, events: readEvents(lines, state), end: () => state.end}
}

async function parseOrClose(line: string, lines: AsyncGenerator<string>): Promise<CastHeader> {
  try {
    return parseHeader(line)
  } catch (error) {
    await lines.return(undefined)
    throw error
  }
}

async function* readLines(contents: AsyncIterable<Uint8Array>, state: ReadState): AsyncGenerator<string> {
  let rest: Buffer = Buffer.alloc(0)
  for await (const content of contents) {
    rest = rest.length === 0 ? Buffer.from(content) : Buffer.concat([rest, content])
    let from = 0
    for (let to = rest.indexOf(0x0a); to >= 0; to = rest.indexOf(0x0a, from)) {
      if (to - from > LINE_BYTES) throw tooLong()
      yield rest.toString('utf8', from, to)
      from = to + 1
    }
    rest = rest.subarray(from)
    if (rest.length > LINE_BYTES) throw tooLong()
  }
  if (rest.length === 0) return
  // Other programs may leave the last line break out; a line that is whole otherwise counts.
  if (isJson(rest)) yield rest.toString('utf8')
  else state.end = 'cut'
}

const tooLong = () => problem('recording_corrupt', 'a line of the recording is too long')

function isJson(bytes: Buffer): boolean {
  try {
    JSON.parse(bytes.toString('utf8'))
    return true
  } catch {
    return false
  }
}

async function* readEvents(lines: AsyncIterable<string>, state: ReadState): AsyncGenerator<CastEvent> {
  // An output waits for the side events that may follow it.
  let output: OutputEvent | undefined
  let timeMs = 0
  let damage: unknown
  try {
    for await (const line of lines) {
      if (line.trim() === '') continue
      const {seconds, code, data} = parseEvent(line)
      if (output && code === BYTES_CODE) output.bytes = Buffer.from(data, 'base64')
      else if (output && code === STDERR_CODE) output.stream = 'stderr'
      else {
        if (output) yield output
        output = undefined
        if (code === SEAL_CODE && state.end === 'open') state.end = sealedEnd(data)
        if (code.startsWith('x-')) continue
        timeMs = Math.max(timeMs, Math.round(seconds * 1000))
        if (code === 'o') output = {kind: 'output', timeMs, text: data, stream: 'stdout'}
        else if (code === 'm') yield {kind: 'marker', timeMs, label: data}
        else if (code === 'r') yield {kind: 'resize', timeMs, ...parseSize(data)}
      }
    }
  } catch (error) {
    damage = error
  }
  // Where a cut or damage took the exact bytes away, what stands for them is not what was on the wire.
  const partial = damage !== undefined || state.end === 'cut'
  if (output && !(partial && !output.bytes && output.text.includes('\ufffd'))) yield output
  if (damage !== undefined) throw damage
}

/** The header line. Throws `recording_corrupt` for anything but asciicast v2. */
export function parseHeader(line: string): CastHeader {
  const value = parseJson(line)
  if (!isObject(value) || value.version !== 2)
    throw problem('recording_corrupt', 'the file is not an asciicast of version 2')
  const {width, height, timestamp, title, env, command, sallyport} = value
  const size = terminalSize(Number(width), Number(height))
  const term = isObject(env) ? env.TERM : undefined
  return {
    width: size.columns,
    height: size.rows,
    ...(typeof timestamp === 'number' && {timestamp}),
    ...(typeof title === 'string' && {title}),
    ...(typeof term === 'string' && {term}),
    ...(typeof command === 'string' && {command}),
    ...(isObject(sallyport) && {own: sallyport}),
  }
}
