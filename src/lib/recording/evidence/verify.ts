import type {KeyObject} from 'node:crypto'
import {isDeepStrictEqual} from 'node:util'
import {SallyportError} from '../../errors/index.js'
import {chainDigest} from '../format/chain.js'
import {type Member, readMembers} from '../format/gzip-members.js'
import type {RecordingIndex} from '../format/index-file.js'
import {type ChainState, checkChunk, emptyChain, UNLINKED} from './chunk.js'
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
      const reason = await checkMember(member, state, options)
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

const bad = (reason: string, chunk?: number): RecordingVerdict =>
  chunk === undefined ? {result: 'bad', reason} : {result: 'bad', chunk, reason}

/** The reason why a member is not what belongs there; takes it into the state otherwise. */
export async function checkMember(
  {offset, data, content, complete}: Member,
  state: ChainState,
  {index, sid}: Pick<VerifyOptions, 'index' | 'sid'>,
): Promise<string | undefined> {
  if (!complete) return 'it is cut off'
  const entry = state.seal ? undefined : index?.chunks[state.chunks]
  const digest = chainDigest(state.head, data)
  if (entry && (entry.sha256 !== digest || entry.offset !== offset || entry.length !== data.length))
    return 'it is not the chunk that the index names'
  return await checkChunk(content, digest, state, {sid, meta: index?.meta, times: entry})
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
