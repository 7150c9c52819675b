import type {KeyObject} from 'node:crypto'
import {isDeepStrictEqual} from 'node:util'
import {SallyportError} from '../../errors/index.js'
import {CHAIN_CODE, SEAL_CODE} from '../format/asciicast.js'
import {chainDigest, GENESIS} from '../format/chain.js'
import {type Member, readMembers} from '../format/gzip-members.js'
import {type RecordingIndex, type RecordingSeal, sealSchema} from '../format/index-file.js'
import {parseEvent, parseJson} from '../read/event-line.js'
import {parseHeader} from '../read/reader.js'
import {sealDigest, verifyRecordingHead} from './signature.js'

export type RecordingVerdict =
  /** Every chunk is what was recorded, up to the end, and a key of the cluster signed it. */
  | {
      result: 'verified'
      sid: string
      chunks: number
      /** Hex digest of the last chunk. */
      head: string
      /** Why the recording was cut short: the session went on, unrecorded, or its end is not known. */
      truncated?: string
    }
  /** The chain holds as far as it goes, but nobody signed it: the session runs, or was cut short. */
  | {result: 'unsealed'; sid: string; chunks: number; head: string}
  /** `chunk` is the first bad one, counting from 0; absent when the seal is what is wrong. */
  | {result: 'bad'; chunk?: number; reason: string}

export interface VerifyOptions {
  /** The recording, gzip members. */
  data: AsyncIterable<Uint8Array>
  /** Public keys of the cluster's recording authority. */
  keys: KeyObject[]
  /** The sidecar index, where it is at hand: it tells exactly which of two chunks is bad. */
  index?: RecordingIndex
  /** The session that this should be the recording of. */
  sid?: string
}

/** Checks a recording against itself, its index and the cluster's keys. Damage is an answer, never an exception. */
export async function verifyRecording(options: VerifyOptions): Promise<RecordingVerdict> {
  const state = emptyChain()
  try {
    for await (const member of readMembers(options.data)) {
      const reason = checkMember(member, state, options)
      if (reason === UNLINKED) return bad(reason, state.chunks - 1)
      if (reason !== undefined) return bad(reason, state.chunks)
    }
  } catch (error) {
    if (error instanceof SallyportError && error.code === 'recording_corrupt')
      return bad(error.message, state.chunks)
    throw error
  }
  return conclude(state, options)
}

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

const bad = (reason: string, chunk?: number): RecordingVerdict =>
  chunk === undefined ? {result: 'bad', reason} : {result: 'bad', chunk, reason}

/** The reason why a member is not what belongs there; takes it into the state otherwise. */
export function checkMember(
  member: Member,
  state: ChainState,
  {index, sid}: Pick<VerifyOptions, 'index' | 'sid'>,
): string | undefined {
  if (!member.complete) return 'it is cut off'
  if (state.seal) return 'it comes after the seal'
  const entry = index?.chunks[state.chunks]
  const digest = chainDigest(state.head, member.data)
  if (
    entry &&
    (entry.sha256 !== digest || entry.offset !== member.offset || entry.length !== member.data.length)
  )
    return 'it is not the chunk that the index names'
  const lines = firstAndLast(member.content)
  if (!lines) return 'it does not end with a line'
  if (state.chunks === 0) return takeHeader(lines.first, digest, state, index, sid)
  const {code, data, seconds} = parseEvent(lines.first)
  if (code === SEAL_CODE && lines.single) return takeSeal(data, state)
  if (code !== CHAIN_CODE) return 'it does not name the chunk before it'
  const reason = checkLink(data, state)
  if (reason !== undefined) return reason
  const lastMs = Math.round(parseEvent(lines.last).seconds * 1000)
  const firstMs = Math.round(seconds * 1000)
  if (firstMs < state.lastMs || lastMs < firstMs) return 'its times go backwards'
  if (entry && (entry.first !== firstMs || entry.last !== lastMs)) return 'the index has other times for it'
  Object.assign(state, {chunks: state.chunks + 1, head: digest, firstMs, lastMs})
  return undefined
}

/** Said of the chunk before: its successor names another. Nothing from it on can be relied upon. */
const UNLINKED = 'it, or the link of the chunk after it, was changed'

function checkLink(link: string, {chunks, head}: ChainState): string | undefined {
  const [sequence, digest] = link.split(' ')
  if (sequence !== String(chunks)) return `chunk ${sequence} is in its place`
  return digest === head ? undefined : UNLINKED
}

function takeHeader(
  line: string,
  digest: string,
  state: ChainState,
  index: RecordingIndex | undefined,
  expected: string | undefined,
): string | undefined {
  const {own, width, height, term, command} = parseHeader(line)
  if (typeof own?.sid !== 'string') return 'it is not the header of a recording of this system'
  if (expected !== undefined && own.sid !== expected) return `it is of another session, ${own.sid}`
  const {format: _, ...meta} = own
  const whole = {...meta, width, height, ...defined({term, command})}
  if (index && !isDeepStrictEqual(whole, {...index.meta})) return 'the index begins with other facts'
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

function conclude(state: ChainState, {index, keys}: VerifyOptions): RecordingVerdict {
  const {sid, chunks, head, seal} = state
  if (chunks === 0) return bad('the recording is empty', 0)
  if (index && index.chunks.length > chunks) return bad('it is missing, the index names it', chunks)
  if (index?.seal && !isDeepStrictEqual(index.seal, seal)) return bad('the seal is not the one of the index')
  if (!seal) return {result: 'unsealed', sid, chunks, head}
  if (seal.chunks > chunks) return bad(`it is missing, the seal counts ${seal.chunks} chunks`, chunks)
  if (seal.chunks < chunks) return bad(`it was added, the seal counts ${seal.chunks} chunks`, seal.chunks)
  if (seal.head !== head) return bad('the seal is of another recording')
  if (!verifyRecordingHead(keys, sid, sealDigest(sid, seal), seal.signature))
    return bad('the seal is not signed by the recording key of this cluster')
  const {truncated} = seal
  return {result: 'verified', sid, chunks, head, ...(truncated !== undefined && {truncated})}
}

/** First and last line of a chunk; undefined when its last line is not ended. */
function firstAndLast(content: Buffer): {first: string; last: string; single: boolean} | undefined {
  if (content.at(-1) !== 0x0a) return undefined
  const firstEnd = content.indexOf(0x0a)
  const lastStart = content.lastIndexOf(0x0a, content.length - 2) + 1
  return {
    first: content.toString('utf8', 0, firstEnd),
    last: content.toString('utf8', lastStart, content.length - 1),
    single: firstEnd === content.length - 1,
  }
}
