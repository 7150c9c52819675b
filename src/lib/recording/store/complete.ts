import {constants} from 'node:fs'
import {promisify} from 'node:util'
import {gzip as gzipCallback} from 'node:zlib'
import {isMissing} from '../../durable/index.js'
import {problem, SallyportError} from '../../errors/index.js'
import {type ChainState, emptyChain} from '../evidence/chunk.js'
import {sealDigest} from '../evidence/signature.js'
import {checkMember} from '../evidence/verify.js'
import {headerLine} from '../format/asciicast.js'
import {chainDigest} from '../format/chain.js'
import {type Member, readMembers} from '../format/gzip-members.js'
import {REASON_CHARACTERS, type RecordingSeal} from '../format/index-file.js'
import {writtenMeta} from '../meta.js'
import type {RecordingEnd, RecordingMeta} from '../types.js'
import {openRegular, type RecordingPaths, readRange} from './files.js'
import {type LiveRecording, liveRecording, readIndexFile, type StoredIndex} from './live-recording.js'

const gzip = promisify(gzipCallback)

/** A recording that has its end record. */
export interface CompletedRecording {
  meta: RecordingMeta
  end: RecordingEnd
}

/**
 * Gives a recording that nobody continues its end: follows the chain from the beginning, takes up whole chunks that the
 * data file has and the index does not name yet, cuts off what follows them, and seals, as truncated for `reason` unless
 * its own end was already on disk. May be cut off itself at any point and done again; a sealed recording stays as it is.
 * @throws recording_corrupt when the chain does not hold as far as the index names it: the files are left alone
 */
export async function completeRecording(
  paths: RecordingPaths,
  reason: string,
  signHead: (sid: string, head: string) => string | Promise<string>,
): Promise<CompletedRecording> {
  const index = await readIndexFile(paths)
  const {meta, seal} = index
  if (seal) return {meta, end: seal}
  const recording = liveRecording(paths, index)
  const sign = async (end: RecordingEnd): Promise<RecordingSeal> => ({
    ...end,
    signature: await signHead(meta.sid, sealDigest(meta.sid, end)),
  })
  const chain = await takeUp(paths, index, recording)
  if (chain.chunks === 0) await writeHeader(recording)
  const own = chain.seal && (await ownSeal(chain.seal, recording, sign))
  const sealed = own ?? (await sign(cutShort(recording, chain.lastMs, reason)))
  await recording.seal(sealed)
  return {meta, end: sealed}
}

const cutShort = ({meta, chunks, head}: LiveRecording, lastMs: number, reason: string): RecordingEnd => ({
  endedAt: meta.startedAt + lastMs,
  durationMs: lastMs,
  chunks,
  head,
  truncated: reason.slice(0, REASON_CHARACTERS),
})

/** Checks what the index names, and adds to it what the data file has beyond that and fits. */
async function takeUp(
  paths: RecordingPaths,
  index: StoredIndex,
  recording: LiveRecording,
): Promise<ChainState> {
  const named = index.chunks.length
  const size = await syncedSize(paths)
  if (size < recording.dataBytes) throw corrupt('it has less data than its index names')
  const chain = emptyChain()
  const members = readMembers(readRange(paths.data, 0, size))
  try {
    for await (const member of members) {
      const bad = await checkMember(member, chain, {index, sid: paths.sid})
      if (bad !== undefined && chain.chunks < named) throw corrupt(`chunk ${chain.chunks} is bad: ${bad}`)
      if (bad !== undefined || chain.seal) break
      if (chain.chunks > named) await recording.adopt(asChunk(member, chain))
    }
  } catch (error) {
    // Beyond what the index names, whatever is no chunk is what the crash tore.
    if (!isCorrupt(error) || chain.chunks < named) throw error
  }
  if (chain.chunks < named) throw corrupt(`chunk ${chain.chunks} is missing`)
  return chain
}

const asChunk = ({data}: Member, {chunks, head, firstMs, lastMs}: ChainState) => ({
  sequence: chunks - 1,
  firstMs,
  lastMs,
  data,
  digest: head,
})

/** Bytes of the data file, all of them durable: the one who wrote the last ones may not have come to that. */
async function syncedSize({data}: RecordingPaths): Promise<number> {
  const handle = await openRegular(data, constants.O_RDWR).catch(cause => {
    if (!isMissing(cause)) throw cause
    throw corrupt('its data is missing', cause)
  })
  try {
    await handle.sync()
    return (await handle.stat()).size
  } finally {
    await handle.close()
  }
}

/** The seal that was written before its line of the index, if it is one that we make. */
async function ownSeal(
  seal: RecordingSeal,
  {chunks, head}: LiveRecording,
  sign: (end: RecordingEnd) => Promise<RecordingSeal>,
): Promise<RecordingSeal | undefined> {
  const {signature, ...end} = seal
  if (end.chunks !== chunks || end.head !== head) return undefined
  return (await sign(end)).signature === signature ? seal : undefined
}

/** A recording is a cast from its first byte on, also where only its index had been written. */
async function writeHeader(recording: LiveRecording): Promise<void> {
  const data = await gzip(headerLine(writtenMeta(recording.meta)), {level: 1})
  const digest = chainDigest(recording.head, data)
  await recording.append({sequence: 0, firstMs: 0, lastMs: 0, data, digest})
}

const isCorrupt = (error: unknown): boolean =>
  error instanceof SallyportError && error.code === 'recording_corrupt'

const corrupt = (why: string, cause?: unknown) =>
  problem('recording_corrupt', `the recording is damaged: ${why}`, {cause})
