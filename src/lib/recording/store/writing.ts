import {isDeepStrictEqual} from 'node:util'
import {ensurePrivateDirectory, syncDirectory} from '../../durable/index.js'
import {asProblem, problem} from '../../errors/index.js'
import type {KeyedTurn} from '../../waiting/index.js'
import {sealDigest} from '../evidence/signature.js'
import {formatFirstLine} from '../format/index-file.js'
import {boundMeta, metaSchema} from '../meta.js'
import type {RecordingEnd, RecordingMeta, RecordingSink} from '../types.js'
import {completeRecording} from './complete.js'
import {createFiles, findRecording, findRemoved, type RecordingPaths, recordingPaths} from './files.js'
import {type LiveRecording, liveRecording, readIndexFile, resumeRecording} from './live-recording.js'

export interface WritingOptions {
  directory: string
  /** Unix ms. */
  now: () => number
  signHead: (sid: string, head: string) => string | Promise<string>
  /** Runs the steps of each session one after the other. */
  inOrder: KeyedTurn
  /** Where the recording of a session is. @throws not_found */
  locate(sid: string): Promise<RecordingPaths>
  /** A recording has its end. */
  onSealed(paths: RecordingPaths): Promise<void>
  /** A step failed for want of disk, or the like. */
  onFailed: ((sid: string) => void) | undefined
}

/** The recordings of a store that are being written. */
export interface Writing extends RecordingSink {
  /** The recording as it is being written; undefined where nobody writes it. */
  live(sid: string): LiveRecording | undefined
  /** It was begun here, and has no end yet. */
  isUnsealed(sid: string): boolean
  /** It has its end now, or needs none any more. */
  settled(sid: string): void
  /** When the oldest began that has no end yet, Unix ms. */
  oldestUnsealed(): number | undefined
}

/** Makes every step durable before it resolves. A step that is repeated is no error. */
export function createWriting(options: WritingOptions): Writing {
  const {directory, now, signHead, inOrder, locate, onSealed, onFailed} = options
  const live = new Map<string, LiveRecording>()
  /** By when they began. */
  const unsealed = new Map<string, number>()

  const begin = async (given: RecordingMeta): Promise<void> => {
    const {data: meta, error} = metaSchema.safeParse(boundMeta(given))
    if (error) throw problem('invalid_input', 'the facts of the recording are not valid', {cause: error})
    const existing = await findRecording(directory, meta.sid)
    if (existing) return await beginAgain(existing, meta)
    if (await findRemoved(directory, meta.sid))
      throw problem('already_exists', `session ${meta.sid} had a recording, which was removed`)
    const at = now()
    const paths = recordingPaths(directory, meta.sid, at)
    unsealed.set(meta.sid, at)
    await ensurePrivateDirectory(paths.day)
    await syncDirectory(directory)
    const firstLine = formatFirstLine(meta)
    await createFiles(paths, firstLine)
    live.set(
      meta.sid,
      liveRecording(paths, {meta, chunks: [], tornBytes: 0, indexBytes: Buffer.byteLength(firstLine)}),
    )
  }

  /** A `begin` sent again is fine when it is of the same recording, however far that has come since. */
  const beginAgain = async (paths: RecordingPaths, meta: RecordingMeta): Promise<void> => {
    const index = await readIndexFile(paths)
    if (!isDeepStrictEqual(index.meta, meta))
      throw problem('already_exists', `session ${meta.sid} has a recording already`)
    if (index.seal || live.has(meta.sid)) return
    live.set(meta.sid, liveRecording(paths, index))
    unsealed.set(meta.sid, meta.startedAt)
  }

  /** The recording to go on with; after a restart it is taken up from its index. */
  const current = async (sid: string): Promise<LiveRecording> => {
    const known = live.get(sid)
    if (known) return known
    const resumed = await resumeRecording(await locate(sid))
    if (!resumed.sealed) {
      live.set(sid, resumed)
      unsealed.set(sid, resumed.meta.startedAt)
    }
    return resumed
  }

  /** Whoever says that a recording was cut short need not know how far it came. */
  const closeCutShort = async (sid: string, reason: string): Promise<void> => {
    const paths = await locate(sid)
    live.delete(sid)
    await completeRecording(paths, reason, signHead)
    unsealed.delete(sid)
    await onSealed(paths)
  }

  const seal = async (sid: string, end: RecordingEnd): Promise<void> => {
    if (end.truncated !== undefined) return await closeCutShort(sid, end.truncated)
    await orEnd(sid, recording => sealWhole(recording, end))
  }

  const sealWhole = async (recording: LiveRecording, end: RecordingEnd): Promise<void> => {
    const {sealed} = recording
    const {sid} = recording.meta
    if (sealed?.head === end.head && sealed.chunks === end.chunks) return
    if (sealed) throw problem('invalid_input', 'the recording is sealed with another end')
    requireEnd(end, recording)
    const {endedAt, durationMs, chunks, head} = end
    const signature = await signHead(sid, sealDigest(sid, end))
    await recording.seal({endedAt, durationMs, chunks, head, signature})
    live.delete(sid)
    unsealed.delete(sid)
    await onSealed(recording.paths)
  }

  /**
   * What another machine sends is its recording, or the recording ends before it: what is kept up to there stays good, and
   * says why there is no more.
   */
  const orEnd = async (sid: string, run: (recording: LiveRecording) => Promise<void>): Promise<void> => {
    const recording = await current(sid)
    try {
      await run(recording)
    } catch (error) {
      const {code, message} = asProblem(error)
      if (code === 'invalid_input' && !recording.sealed) await closeCutShort(sid, message)
      throw error
    }
  }

  /** What the disk refused is taken up from the files, if at all: they say what is really there. */
  const step = (sid: string, run: () => Promise<void>): Promise<void> =>
    inOrder(sid, run).catch(error => {
      if (asProblem(error).code === 'store_failed' && unsealed.has(sid)) {
        live.delete(sid)
        onFailed?.(sid)
      }
      throw error
    })

  return {
    begin: meta => step(meta.sid, () => begin(meta)),
    append: (sid, chunk) => step(sid, () => orEnd(sid, recording => recording.append(chunk))),
    seal: (sid, end) => step(sid, () => seal(sid, end)),
    live: sid => live.get(sid),
    isUnsealed: sid => unsealed.has(sid),
    settled: sid => void unsealed.delete(sid),
    oldestUnsealed: () => [...unsealed.values()].reduce<number | undefined>(earlier, undefined),
  }
}

/** Throws `invalid_input` for an end that is not that of the recording. */
function requireEnd(
  {chunks, head, endedAt, durationMs}: RecordingEnd,
  recording: Pick<LiveRecording, 'meta' | 'chunks' | 'head' | 'lastMs'>,
): void {
  if (chunks !== recording.chunks || head !== recording.head || chunks === 0)
    throw problem('invalid_input', `the end is of ${chunks} chunks, the recording has ${recording.chunks}`)
  if (durationMs < recording.lastMs || endedAt !== recording.meta.startedAt + durationMs)
    throw problem('invalid_input', 'the end of the recording has impossible times')
}

const earlier = (a: number | undefined, b: number): number => (a === undefined ? b : Math.min(a, b))
