import {constants} from 'node:fs'
import {asProblem, problem} from '../../errors/index.js'
import {type ChainState, checkChunk, UNLINKED} from '../evidence/chunk.js'
import {chainDigest, GENESIS} from '../format/chain.js'
import {isMadeHere} from '../format/gzip-member.js'
import {inflateMember} from '../format/gzip-members.js'
import {
  formatChunkLine,
  formatSealLine,
  type IndexChunk,
  parseIndex,
  type RecordingIndex,
  type RecordingSeal,
  sealMember,
} from '../format/index-file.js'
import {MEMBER_BYTES} from '../limits.js'
import type {RecordingChunk, RecordingMeta} from '../types.js'
import {openRegular, type RecordingPaths, writeSyncedAt} from './files.js'

/**
 * A recording of the store that is being written. Holds no file open between steps: its state is where the files end
 * and the head of the chain, and it can be taken up again from the index after a crash.
 */
export interface LiveRecording {
  readonly paths: RecordingPaths
  readonly meta: RecordingMeta
  readonly sealed: RecordingSeal | undefined
  readonly head: string
  readonly chunks: number
  readonly dataBytes: number
  /** When the last chunk ends, milliseconds since the start. */
  readonly lastMs: number
  /** Throws `invalid_input` for a chunk that is not the next one of this recording. */
  append(chunk: RecordingChunk): Promise<void>
  /** Names a chunk in the index that the data file has, durable, right behind the last one. */
  adopt(chunk: RecordingChunk): Promise<void>
  seal(seal: RecordingSeal): Promise<void>
}

/** An index and where its last whole line ends. */
export type StoredIndex = RecordingIndex & {indexBytes: number}

export async function readIndexFile(paths: RecordingPaths): Promise<StoredIndex> {
  const handle = await openRegular(paths.index, constants.O_RDONLY)
  try {
    const bytes = await handle.readFile()
    const index = parseIndex(bytes)
    return {...index, indexBytes: bytes.length - index.tornBytes}
  } finally {
    await handle.close()
  }
}

/** Takes a recording up where its index ends; a sealed one only knows what it has. */
export async function resumeRecording(paths: RecordingPaths): Promise<LiveRecording> {
  return liveRecording(paths, await readIndexFile(paths))
}

export function liveRecording(
  paths: RecordingPaths,
  {meta, chunks, indexBytes, seal: sealed}: StoredIndex,
): LiveRecording {
  let last = chunks.at(-1)
  let indexEnd = indexBytes
  const count = () => (last ? last.seq + 1 : 0)
  const head = () => last?.sha256 ?? GENESIS
  const dataEnd = () => (last ? last.offset + last.length : 0)

  const name = async (line: string): Promise<void> => {
    await writeSyncedAt(paths.index, indexEnd, Buffer.from(line))
    indexEnd += Buffer.byteLength(line)
  }

  const adopt = async (chunk: RecordingChunk): Promise<void> => {
    const offset = dataEnd()
    await name(formatChunkLine(chunk, offset))
    last = {
      seq: chunk.sequence,
      first: chunk.firstMs,
      last: chunk.lastMs,
      offset,
      length: chunk.data.length,
      sha256: chunk.digest,
    }
  }

  return {
    paths,
    meta,
    sealed,
    get head() {
      return head()
    },
    get chunks() {
      return count()
    },
    get dataBytes() {
      return dataEnd()
    },
    get lastMs() {
      return last?.last ?? 0
    },
    async append(chunk) {
      if (chunk.sequence < count()) return await requireSame(paths, chunk)
      if (sealed) throw refused(chunk, 'comes after its end')
      checkPlace(chunk, count(), last)
      if (chainDigest(head(), chunk.data) !== chunk.digest)
        throw refused(chunk, 'does not continue the chain of the recording')
      if (!isMadeHere(chunk.data)) await requireSound(chunk, {meta, chunks: count(), head: head(), last})
      // The index names only what the data file holds for certain.
      await writeSyncedAt(paths.data, dataEnd(), chunk.data)
      await adopt(chunk)
    },
    adopt,
    async seal(seal) {
      await writeSyncedAt(paths.data, dataEnd(), sealMember(seal))
      await name(formatSealLine(seal))
    },
  }
}

const refused = (chunk: RecordingChunk, why: string) =>
  problem('invalid_input', `chunk ${chunk.sequence} of the recording ${why}`)

function checkPlace(chunk: RecordingChunk, expected: number, previous: IndexChunk | undefined): void {
  const {sequence, firstMs, lastMs, data} = chunk
  if (sequence !== expected) throw refused(chunk, `came where chunk ${expected} is due`)
  if (data.length === 0 || data.length > MEMBER_BYTES) throw refused(chunk, 'is empty or too large')
  if (!isTime(firstMs) || !isTime(lastMs) || lastMs < firstMs || firstMs < (previous?.last ?? 0))
    throw refused(chunk, 'has impossible times')
}

/**
 * A chunk of another machine is kept when it would be verified: nothing that is kept may look as if it had been changed
 * here.
 */
async function requireSound(
  chunk: RecordingChunk,
  {
    meta,
    chunks,
    head,
    last,
  }: Pick<LiveRecording, 'meta' | 'chunks' | 'head'> & {last: IndexChunk | undefined},
): Promise<void> {
  const state: ChainState = {sid: meta.sid, chunks, head, firstMs: last?.first ?? 0, lastMs: last?.last ?? 0}
  const times = {first: chunk.firstMs, last: chunk.lastMs}
  const reason = await inflateMember(chunk.data)
    .then(content => checkChunk(content, chunk.digest, state, {sid: meta.sid, meta, times}))
    .catch(error => {
      if (asProblem(error).code !== 'recording_corrupt') throw error
      return asProblem(error).message
    })
  if (reason === UNLINKED) throw refused(chunk, 'names another chunk before it than there is')
  if (reason !== undefined) throw refused(chunk, `is none: ${reason}`)
  if (state.seal) throw refused(chunk, 'is a seal')
}

const isTime = (ms: number): boolean => Number.isSafeInteger(ms) && ms >= 0

/** A chunk sent again is fine when it is the chunk that is kept. */
async function requireSame(paths: RecordingPaths, chunk: RecordingChunk): Promise<void> {
  const {chunks} = await readIndexFile(paths)
  if (chunks[chunk.sequence]?.sha256 !== chunk.digest) throw refused(chunk, 'is kept with another content')
}
