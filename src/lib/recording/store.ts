import {isDeepStrictEqual} from 'node:util'
import {ensurePrivateDirectory, syncDirectory} from '../durable/index.js'
import {problem} from '../errors/index.js'
import {createCatalogue} from './catalogue.js'
import {formatFirstLine, type RecordingIndex} from './index-file.js'
import {listRecordings, type RecordingQuery} from './listing.js'
import {type LiveRecording, liveRecording, readIndexFile, resumeRecording} from './live-recording.js'
import {boundMeta, metaSchema, requireSid} from './meta.js'
import {sealDigest} from './signature.js'
import {
  createFiles,
  findRecording,
  type RecordingPaths,
  readRange,
  recordingPaths,
  storeStep,
} from './store-files.js'
import {readSummary} from './summary.js'
import type {RecordingEnd, RecordingMeta, RecordingSink, RecordingSummary} from './types.js'

export interface RecordingStoreOptions {
  directory: string
  /** Unix ms; names the day directory of a new recording. */
  now?: () => number
  /** Signs the seal: `signRecordingHead` with the cluster's recording key. Base64. */
  signHead: (sid: string, head: string) => string | Promise<string>
  /** Told of a recording that a list has to leave out, and why. */
  onDamage?: (sid: string, error: unknown) => void
}

/**
 * Recordings in a directory: `<day>/<sid>.cast.gz` and `<day>/<sid>.index.jsonl`. As a sink it makes every step
 * durable before it resolves; a step repeated is no error, so an upload may be retried.
 */
export interface RecordingStore extends RecordingSink {
  /** Newest first. */
  list(query?: RecordingQuery): Promise<RecordingSummary[]>
  /** Throws `not_found`. `data` may be read once, for a live recording up to what is durable now. */
  open(sid: string): Promise<{summary: RecordingSummary; data: AsyncIterable<Uint8Array>}>
  readIndex(sid: string): Promise<RecordingIndex>
}

/** Opens the store, creating its directory. Errors of the disk are `store_failed`. */
export async function openRecordingStore(options: RecordingStoreOptions): Promise<RecordingStore> {
  const {directory, now = Date.now, signHead, onDamage} = options
  await storeStep(() => ensurePrivateDirectory(directory))
  const live = new Map<string, LiveRecording>()
  const inOrder = createQueues()
  const catalogue = createCatalogue({now, onDamage})

  const locate = async (sid: string): Promise<RecordingPaths> => {
    const paths = live.get(sid)?.paths ?? (await findRecording(directory, sid))
    if (!paths) throw problem('not_found', `there is no recording of session ${sid}`)
    return paths
  }

  const begin = async (given: RecordingMeta): Promise<void> => {
    const {data: meta, error} = metaSchema.safeParse(boundMeta(given))
    if (error) throw problem('invalid_input', 'the facts of the recording are not valid', {cause: error})
    const existing = await findRecording(directory, meta.sid)
    if (existing) return await requireUnwritten(existing, meta, live)
    const paths = recordingPaths(directory, meta.sid, now())
    await ensurePrivateDirectory(paths.day)
    await syncDirectory(directory)
    const firstLine = formatFirstLine(meta)
    await createFiles(paths, firstLine)
    live.set(
      meta.sid,
      liveRecording(paths, {meta, chunks: [], tornBytes: 0, indexBytes: Buffer.byteLength(firstLine)}),
    )
  }

  /** The recording to go on with; after a restart it is taken up from its index. */
  const current = async (sid: string): Promise<LiveRecording> => {
    const known = live.get(sid)
    if (known) return known
    const resumed = await resumeRecording(await locate(sid))
    if (!resumed.sealed) live.set(sid, resumed)
    return resumed
  }

  const seal = async (sid: string, end: RecordingEnd): Promise<void> => {
    const recording = await current(sid)
    const {sealed} = recording
    if (sealed?.head === end.head && sealed.chunks === end.chunks) return
    if (sealed) throw problem('invalid_input', 'the recording is sealed with another end')
    if (end.chunks !== recording.chunks || end.head !== recording.head)
      throw problem(
        'invalid_input',
        `the end is of ${end.chunks} chunks, the recording has ${recording.chunks}`,
      )
    const {endedAt, durationMs, chunks, head} = end
    const signature = await signHead(sid, sealDigest(sid, end))
    await recording.seal({endedAt, durationMs, chunks, head, signature})
    live.delete(sid)
  }

  const withLife = (summary: RecordingSummary): RecordingSummary =>
    summary.state === 'truncated' && live.has(summary.sid) ? {...summary, state: 'live'} : summary

  return {
    begin: meta => inOrder(meta.sid, () => begin(meta)),
    append: (sid, chunk) => inOrder(sid, async () => (await current(sid)).append(chunk)),
    seal: (sid, end) => inOrder(sid, () => seal(sid, end)),
    list: (query = {}) =>
      storeStep(async () => (await listRecordings(directory, catalogue, query)).map(withLife)),
    open: sid =>
      storeStep(async () => {
        const paths = await locate(sid)
        const summary = withLife(await readSummary(paths))
        // What is beyond the last durable chunk of a live recording may be half written.
        const end = live.get(sid)?.dataBytes ?? summary.bytes
        return {summary, data: readRange(paths.data, 0, end)}
      }),
    readIndex: sid =>
      storeStep(async () => {
        const {meta, chunks, seal: end, tornBytes} = await readIndexFile(await locate(sid))
        return {meta, chunks, tornBytes, ...(end && {seal: end})}
      }),
  }
}

/** A `begin` sent again is fine as long as nothing followed it. */
async function requireUnwritten(
  paths: RecordingPaths,
  meta: RecordingMeta,
  live: Map<string, LiveRecording>,
): Promise<void> {
  const index = await readIndexFile(paths)
  if (!isDeepStrictEqual(index.meta, meta) || index.chunks.length > 0 || index.seal)
    throw problem('already_exists', `session ${meta.sid} has a recording already`)
  if (!live.has(meta.sid)) live.set(meta.sid, liveRecording(paths, index))
}

/** Runs the steps of each session one after the other, whatever order their promises settle in. */
function createQueues() {
  const tails = new Map<string, Promise<unknown>>()
  return async (sid: string, step: () => Promise<void>): Promise<void> => {
    requireSid(sid)
    const before = tails.get(sid)
    const mine = storeStep(async () => {
      await before?.catch(() => undefined)
      await step()
    })
    tails.set(sid, mine)
    try {
      await mine
    } finally {
      if (tails.get(sid) === mine) tails.delete(sid)
    }
  }
}
