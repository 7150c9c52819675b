import {asDamage, type CastEnd, nothingToRead, type ReadState, readContents} from '../read/contents.js'
import {type Cast, type CastEvent, type CastHeader, exactBytes} from '../read/reader.js'
import {createTextExtractor} from './plain-text.js'

// The forms in which a recording is given away. Each reads once and holds one event.

/** The same, but ending where it is damaged: `state` says so. */
export function untilDamage(cast: Cast, state: ReadState): Cast {
  const readable = async function* (): AsyncGenerator<CastEvent> {
    try {
      yield* cast.events
    } catch (error) {
      state.damage = asDamage(error)
    } finally {
      state.end = cast.end()
    }
  }
  return {...cast, events: readable()}
}

/** The lines of the asciicast as they were recorded, up to damage; throws `recording_corrupt` where not one can be read. */
export async function* castText(
  source: AsyncIterable<Uint8Array>,
  state: ReadState,
): AsyncGenerator<Uint8Array> {
  let empty = true
  try {
    for await (const content of readContents(source, state)) {
      if (content.length === 0) continue
      empty = false
      yield content
    }
  } catch (error) {
    if (empty) throw error
    state.damage = asDamage(error)
  }
  if (empty) throw nothingToRead(state)
}

/** What was on the wire toward the user; one of its streams, or both in their order. */
export async function* rawBytes(cast: Cast, stream?: 'stdout' | 'stderr'): AsyncGenerator<Buffer> {
  for await (const event of cast.events)
    if (event.kind === 'output' && (stream === undefined || event.stream === stream)) yield exactBytes(event)
}

/** Lines as a person would have read them. */
export async function* textLines(cast: Cast): AsyncGenerator<string> {
  const extractor = createTextExtractor()
  for await (const event of cast.events) {
    if (event.kind !== 'output') continue
    const lines = extractor.push(event.text)
    if (lines !== '') yield lines
  }
  yield extractor.end()
}

/** Records of the JSON form: one `header`, an `output`, `resize` or `marker` an event, one `end`. `ms` since the start. */
export type JsonRecord =
  | ({type: 'header'} & Omit<CastHeader, 'own'> & {session?: Record<string, unknown>})
  | {type: 'output'; ms: number; stream: 'stdout' | 'stderr'; text: string; bytes?: string}
  | {type: 'resize'; ms: number; columns: number; rows: number}
  | {type: 'marker'; ms: number; label: string}
  | {type: 'end'; state: CastEnd}

export async function* jsonRecords(cast: Cast): AsyncGenerator<JsonRecord> {
  const {own, ...header} = cast.header
  yield {type: 'header', ...header, ...(own && {session: own})}
  for await (const event of cast.events) yield jsonRecord(event)
  yield {type: 'end', state: cast.end()}
}

function jsonRecord(event: CastEvent): JsonRecord {
  const {timeMs: ms} = event
  if (event.kind === 'resize') return {type: 'resize', ms, columns: event.columns, rows: event.rows}
  if (event.kind === 'marker') return {type: 'marker', ms, label: event.label}
  const {stream, text, bytes} = event
  return {type: 'output', ms, stream, text, ...(bytes && {bytes: bytes.toString('base64')})}
}
