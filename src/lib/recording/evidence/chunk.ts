import {isDeepStrictEqual} from 'node:util'
import {isUuid} from '../../names/index.js'
import {CHAIN_CODE, SEAL_CODE} from '../format/asciicast.js'
import {GENESIS} from '../format/chain.js'
import {type IndexChunk, type RecordingSeal, sealSchema} from '../format/index-file.js'
import {LINE_BYTES} from '../limits.js'
import {writtenMeta} from '../meta.js'
import {parseEvent, parseJson, parseSize} from '../read/event-line.js'
import {parseHeader} from '../read/reader.js'
import type {RecordingMeta} from '../types.js'

// What a chunk has to be to follow those before it. Whoever verifies a recording asks this of every chunk, and the store of
// each one that comes from another machine: so none is kept that would be called bad later.

export interface ChainState {
  sid: string
  /** Chunks found good; the next one's number. */
  chunks: number
  head: string
  /** When the last of them begins and ends. */
  firstMs: number
  lastMs: number
  seal?: RecordingSeal
}

/** The state before the first chunk. */
export const emptyChain = (): ChainState => ({sid: '', chunks: 0, head: GENESIS, firstMs: 0, lastMs: 0})

/** What is known of a chunk from elsewhere. */
export interface Expected {
  /** The session that this should be the recording of. */
  sid?: string | undefined
  /** What the header should say. */
  meta?: RecordingMeta | undefined
  times?: Pick<IndexChunk, 'first' | 'last'> | undefined
}

/** Said of the chunk before: its successor names another. Nothing from it on can be relied upon. */
export const UNLINKED = 'it, or the link of the chunk after it, was changed'

/** Bytes of lines that are read before other work gets its turn: a bomb of short lines takes a quarter of a second. */
const TURN_BYTES = 256 * 1024

/**
 * The reason why a chunk is not what belongs there; takes it into the state otherwise.
 * @param content the lines of the chunk, each of which is read
 * @param digest of the chunk in its chain
 * @throws recording_corrupt where a line is no event
 */
export async function checkChunk(
  content: Buffer,
  digest: string,
  state: ChainState,
  expected: Expected,
): Promise<string | undefined> {
  if (state.seal) return 'it comes after the seal'
  if (content.at(-1) !== LINE_BREAK) return 'it does not end with a line'
  const end = content.indexOf(LINE_BREAK)
  if (end > LINE_BYTES) return TOO_LONG
  const first = content.toString('utf8', 0, end)
  const single = end === content.length - 1
  if (state.chunks === 0) return takeHeader(first, single, digest, state, expected)
  const {code, data, seconds} = parseEvent(first)
  if (code === SEAL_CODE && single) return takeSeal(data, state)
  if (code !== CHAIN_CODE) return 'it does not name the chunk before it'
  const reason = checkLink(data, state)
  if (reason !== undefined) return reason
  const firstMs = Math.round(seconds * 1000)
  if (firstMs < state.lastMs) return BACKWARDS
  const lastMs = await lastTime(content, end + 1, firstMs)
  if (typeof lastMs === 'string') return lastMs
  const {times} = expected
  if (times && (times.first !== firstMs || times.last !== lastMs)) return 'the index has other times for it'
  Object.assign(state, {chunks: state.chunks + 1, head: digest, firstMs, lastMs})
  return undefined
}

const LINE_BREAK = 0x0a
const TOO_LONG = 'a line of it is too long'
const BACKWARDS = 'its times go backwards'

/** When the last of the events from a place on comes; in words, why they are no events of one chunk. */
async function lastTime(content: Buffer, begin: number, firstMs: number): Promise<number | string> {
  let lastMs = firstMs
  let turn = begin + TURN_BYTES
  for (let from = begin; from < content.length; ) {
    const to = content.indexOf(LINE_BREAK, from)
    if (to - from > LINE_BYTES) return TOO_LONG
    const {seconds, code, data} = parseEvent(content.toString('utf8', from, to))
    const ms = Math.round(seconds * 1000)
    if (ms < lastMs) return BACKWARDS
    if (code === CHAIN_CODE || code === SEAL_CODE) return 'it has a link or a seal among its events'
    if (code === 'r') parseSize(data)
    lastMs = ms
    from = to + 1
    if (from < turn) continue
    turn = from + TURN_BYTES
    await new Promise(setImmediate)
  }
  return lastMs
}

function checkLink(link: string, {chunks, head}: ChainState): string | undefined {
  const [sequence = '', digest] = link.split(' ')
  if (sequence !== String(chunks))
    return /^\d{1,15}$/.test(sequence) ? `chunk ${sequence} is in its place` : 'its number is none'
  return digest === head ? undefined : UNLINKED
}

function takeHeader(
  line: string,
  single: boolean,
  digest: string,
  state: ChainState,
  {sid, meta, times}: Expected,
): string | undefined {
  const {own, width, height, term, command} = parseHeader(line)
  if (typeof own?.sid !== 'string') return 'it is not the header of a recording of this system'
  // What it says is shown to people: nothing else than an ID is passed on.
  if (sid !== undefined && own.sid !== sid)
    return `it is of another session${isUuid(own.sid) ? `, ${own.sid}` : ''}`
  if (!single) return 'it has more than the header'
  const {format: _, ...facts} = own
  const whole = {...facts, width, height, ...defined({term, command})}
  if (meta && !isDeepStrictEqual(whole, {...writtenMeta(meta)})) return 'the index begins with other facts'
  if (times && (times.first !== 0 || times.last !== 0)) return 'the index has other times for it'
  Object.assign(state, {sid: own.sid, chunks: 1, head: digest})
  return undefined
}

/** Those of the facts that are there; an empty one is. */
const defined = (facts: Record<string, string | undefined>): Record<string, string> =>
  Object.fromEntries(
    Object.entries(facts).flatMap(([key, fact]) => (fact === undefined ? [] : [[key, fact]])),
  )

function takeSeal(data: string, state: ChainState): string | undefined {
  const parsed = sealSchema.safeParse(parseJson(data))
  if (!parsed.success) return 'its seal cannot be read'
  state.seal = parsed.data
  return undefined
}
