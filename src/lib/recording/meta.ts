import {z} from 'zod'
import {problem} from '../errors/index.js'
import {isUuid} from '../names/index.js'
import type {RecordingMeta} from './types.js'

const NAME_CHARACTERS = 256
const COMMAND_CHARACTERS = 16 * 1024
const MAX_CELLS = 10_000

/** A session ID is a UUID: only such a text ever becomes part of a path. @throws invalid_input */
export function requireSid(text: string): void {
  if (!isUuid(text))
    throw problem('invalid_input', 'that is not a session ID', {hint: 'a session ID is a UUID'})
}

const name = z.string().max(NAME_CHARACTERS + 1)

/** Meta as it is kept; also the check for meta that comes from outside. */
export const metaSchema = z.object({
  sid: z.string().refine(isUuid),
  cluster: name,
  user: name,
  login: name,
  host: name,
  toldHost: name.exactOptional(),
  address: name,
  startedAt: z.number().int().nonnegative().max(8.64e15),
  interactive: z.boolean(),
  width: z.number().int().min(1).max(MAX_CELLS),
  height: z.number().int().min(1).max(MAX_CELLS),
  term: name.exactOptional(),
  command: z
    .string()
    .max(COMMAND_CHARACTERS + 1)
    .exactOptional(),
})

const clip = (text: string, characters: number): string =>
  text.length > characters ? `${text.slice(0, characters)}…` : text

const cells = (value: number, fallback: number): number =>
  Number.isInteger(value) && value >= 1 ? Math.min(value, MAX_CELLS) : fallback

/** A terminal size as it can be recorded: whole cells, at least 1, at most 10,000; 80×24 for nonsense. */
export const terminalSize = (columns: number, rows: number): {columns: number; rows: number} => ({
  columns: cells(columns, 80),
  rows: cells(rows, 24),
})

/** The same meta with every field cut to what a recording keeps; long names and commands end with `…`. */
export function boundMeta(meta: RecordingMeta): RecordingMeta {
  const {columns, rows} = terminalSize(meta.width, meta.height)
  return {
    sid: meta.sid,
    cluster: clip(meta.cluster, NAME_CHARACTERS),
    user: clip(meta.user, NAME_CHARACTERS),
    login: clip(meta.login, NAME_CHARACTERS),
    host: clip(meta.host, NAME_CHARACTERS),
    ...(meta.toldHost === undefined ? {} : {toldHost: clip(meta.toldHost, NAME_CHARACTERS)}),
    address: clip(meta.address, NAME_CHARACTERS),
    startedAt: Math.floor(meta.startedAt),
    interactive: meta.interactive,
    width: columns,
    height: rows,
    ...(meta.term === undefined ? {} : {term: clip(meta.term, NAME_CHARACTERS)}),
    ...(meta.command === undefined ? {} : {command: clip(meta.command, COMMAND_CHARACTERS)}),
  }
}

/** The facts as the header has them, whoever wrote it. */
export function writtenMeta({toldHost, ...meta}: RecordingMeta): RecordingMeta {
  return toldHost === undefined ? meta : {...meta, host: toldHost}
}

/** Whether a recording of this meta can be that of the user whom an event names. */
export const isOfUser = ({user}: RecordingMeta, named: string): boolean =>
  user === clip(named, NAME_CHARACTERS)
