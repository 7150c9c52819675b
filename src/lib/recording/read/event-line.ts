import {problem} from '../../errors/index.js'
import {terminalSize} from '../meta.js'

/** An event line as its three parts. Throws `recording_corrupt`. */
export function parseEvent(line: string): {seconds: number; code: string; data: string} {
  const value = parseJson(line)
  if (!Array.isArray(value)) throw notAnEvent()
  const [seconds, code, data]: unknown[] = value
  if (typeof seconds !== 'number' || !(seconds >= 0 && seconds < 1e10)) throw notAnEvent()
  if (typeof code !== 'string' || typeof data !== 'string') throw notAnEvent()
  return {seconds, code, data}
}

const notAnEvent = (cause?: unknown) =>
  problem('recording_corrupt', 'a line of the recording is not an asciicast event', {cause})

/** The size in an event `r`. Throws `recording_corrupt`. */
export function parseSize(data: string): {columns: number; rows: number} {
  const match = /^(\d{1,9})x(\d{1,9})$/.exec(data)
  if (!match) throw problem('recording_corrupt', 'the recording holds a terminal size that is none')
  return terminalSize(Number(match[1]), Number(match[2]))
}

/** JSON of a recording. Throws `recording_corrupt`. */
export function parseJson(line: string): unknown {
  try {
    return JSON.parse(line)
  } catch (cause) {
    throw notAnEvent(cause)
  }
}

export const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
