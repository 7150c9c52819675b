import {stat} from 'node:fs/promises'
import {basename} from 'node:path'
import {ensurePrivateDirectory} from '../../durable/index.js'
import {problem} from '../../errors/index.js'
import {DAY_MS} from '../../names/index.js'
import {createKeyedTurn, type KeyedTurn} from '../../waiting/index.js'
import type {Tombstone} from '../evidence/tombstone.js'
import type {RecordingIndex} from '../format/index-file.js'
import {requireSid} from '../meta.js'
import {createScreenIndexer} from '../screen/indexer.js'
import {createRecordingSearch, type RecordingSearch} from '../search/search.js'
import type {RecordingHold, RecordingSink, RecordingSummary} from '../types.js'
import {createCatalogue} from './catalogue.js'
import {type CompletedRecording, completeRecording} from './complete.js'
import {
  findRecording,
  findRemoved,
  listDays,
  listSoundOf,
  markDamaged,
  type RecordingPaths,
  readRange,
  storeStep,
} from './files.js'
import {removeHold, writeHold} from './hold.js'
import {listRecordings, type RecordingQuery, withHold} from './listing.js'
import {readIndexFile} from './live-recording.js'
import {type PruneRequest, pruneRecordings} from './pruning.js'
import {
  clearDay,
  committed,
  type RemovalRequest,
  readTombstone,
  removeRecording,
  requireNotBeingRemoved,
} from './removal.js'
import {readSummary} from './summary.js'
import {type FinishRequest, finishRemovals} from './unfinished.js'
import {createWriting, type Writing} from './writing.js'

export interface RecordingStoreOptions {
  directory: string
  /** Unix ms; names the day directory of a new recording. */
  now?: () => number
  /** Signs the seal: `signRecordingHead` with the cluster's recording key. Base64. */
  signHead: (sid: string, head: string) => string | Promise<string>
  /** Told of a recording that a list has to leave out, and why. */
  onDamage?: (sid: string, error: unknown) => void
  /** Makes a recording searchable as soon as it is sealed; otherwise the first search does. */
  indexWhenSealed?: boolean
  /** A search that takes longer is ended. Default 10 s: somebody waits for it. */
  searchMs?: number
  /** Told of a recording whose step failed for want of disk, or the like: nobody may ever end it. */
  onFailed?: (sid: string) => void
}

/**
 * Recordings in a directory: `<day>/<sid>.cast.gz` and `<day>/<sid>.index.jsonl`. As a sink it makes every step
 * durable before it resolves; a step repeated is no error, so an upload may be retried.
 */
export interface RecordingStore extends RecordingSink, RecordingSearch {
  /** Newest first. */
  list(query?: RecordingQuery): Promise<RecordingSummary[]>
  /** Throws `not_found`. `data` may be read once, for a live recording up to what is durable now. */
  open(sid: string): Promise<{summary: RecordingSummary; data: AsyncIterable<Uint8Array>}>
  readIndex(sid: string): Promise<RecordingIndex>
  /** Resolves when the background work on the search index is done. */
  indexed(): Promise<void>
  /** Ends the background work; it goes on where it was when the store is opened again. */
  close(): Promise<void>
  /**
   * Recordings of earlier stores on the directory that have no end, or one that says that they were cut short; begun at
   * `since` (Unix ms) or up to a day before. Those that cannot be read are among them until they are marked as damaged.
   */
  left(since: number): AsyncIterable<string>
  /** Gives a recording that nobody continues its end; see `completeRecording`. Undefined where there is none. */
  complete(sid: string, reason: string): Promise<CompletedRecording | undefined>
  /** Notes for good that a recording is damaged: `left` leaves it out from then on. */
  markDamaged(sid: string, reason: string): Promise<void>
  /**
   * Removes a recording for good and leaves a tombstone. Throws `not_found`, `access_denied` while it is held,
   * `unavailable` while it has no end or is being removed, and what `announce` throws: then nothing was removed. What
   * fails once it is on record is `store_failed`, and `finishRemovals` goes on with it.
   */
  remove(sid: string, request: RemovalRequest): Promise<Tombstone>
  /** Removes what is older than the cluster keeps and not held. Gives how many were removed. */
  prune(prune: PruneRequest): Promise<number>
  /** Goes on with removals that a crash or a disk cut off. Gives how many were finished. */
  finishRemovals(request: FinishRequest): Promise<number>
  /** What stayed of a recording that was removed: the text of the tombstone and what it says. */
  tombstone(sid: string): Promise<{text: string; tombstone: Tombstone} | undefined>
  /**
   * Holds a recording, also one that still runs; a hold that is there is replaced. Throws `not_found`, and `unavailable`
   * while it is being removed.
   */
  hold(sid: string, hold: RecordingHold): Promise<RecordingSummary>
  /** Throws `not_found` also where it is not held, and what `announce` throws: then it stays held. */
  release(sid: string, announce: (summary: RecordingSummary) => Promise<unknown>): Promise<void>
  /** When the oldest recording began that this store has not seen the end of, Unix ms. */
  oldestUnsealed(): number | undefined
}

const SEARCH_MS = 10_000

/** Opens the store, creating its directory. Errors of the disk are `store_failed`. */
export async function openRecordingStore(options: RecordingStoreOptions): Promise<RecordingStore> {
  const {directory, now = Date.now, signHead, onDamage, onFailed} = options
  const {indexWhenSealed = false, searchMs = SEARCH_MS} = options
  await storeStep(() => ensurePrivateDirectory(directory))
  const inOrder = createSessionTurns()
  const catalogue = createCatalogue({now, onDamage})
  const isLive = (sid: string): boolean => writing.live(sid) !== undefined
  const indexer = createScreenIndexer({directory, catalogue, isLive, onDamage})
  const {search} = createRecordingSearch({directory, catalogue, indexer, isLive, searchMs})
  const removal = {directory, signHead, catalogue, indexer, inOrder}

  const makeSearchable = async (paths: RecordingPaths): Promise<void> => {
    if (indexWhenSealed) indexer.add(paths, (await stat(paths.data)).size)
  }
  const locate = async (sid: string): Promise<RecordingPaths> => {
    const paths = writing.live(sid)?.paths ?? (await findRecording(directory, sid))
    if (!paths) throw problem('not_found', `there is no recording of session ${sid}`)
    return paths
  }
  const writing: Writing = createWriting({
    ...{directory, now, signHead, inOrder, locate, onFailed},
    onSealed: makeSearchable,
  })

  const withLife = (summary: RecordingSummary): RecordingSummary =>
    summary.state === 'truncated' && isLive(summary.sid) ? {...summary, state: 'live'} : summary

  const summaryOf = async (paths: RecordingPaths): Promise<RecordingSummary> =>
    withLife(await withHold(paths, await readSummary(paths)))

  return {
    search: query => storeStep(() => search(query)),
    indexed: indexer.idle,
    close: indexer.close,
    begin: writing.begin,
    append: writing.append,
    seal: writing.seal,
    list: (query = {}) =>
      storeStep(async () => (await listRecordings(directory, catalogue, query)).map(withLife)),
    open: sid =>
      storeStep(async () => {
        const paths = await locate(sid)
        const summary = await summaryOf(paths)
        // What is beyond the last durable chunk of a live recording may be half written.
        const end = writing.live(sid)?.dataBytes ?? summary.bytes
        return {summary, data: readRange(paths.data, 0, end)}
      }),
    readIndex: sid =>
      storeStep(async () => {
        const {meta, chunks, seal: end, tornBytes} = await readIndexFile(await locate(sid))
        return {meta, chunks, tornBytes, ...(end && {seal: end})}
      }),
    async *left(since) {
      const first = new Date(Math.max(0, since - DAY_MS)).toISOString().slice(0, 10)
      for (const day of await storeStep(() => listDays(directory))) {
        if (basename(day) < first) return
        for (const paths of await storeStep(() => listSoundOf(day))) {
          if (writing.isUnsealed(paths.sid)) continue
          // Why it cannot be read is told by whoever tries to complete it.
          const summary = await readSummary(paths).catch(() => undefined)
          if (summary?.state !== 'sealed') yield paths.sid
        }
      }
    },
    complete: (sid, reason) =>
      inOrder(sid, async () => {
        if (isLive(sid)) throw problem('unavailable', 'the recording is being written')
        const paths = await findRecording(directory, sid)
        const completed = paths && (await completeRecording(paths, reason, signHead))
        writing.settled(sid)
        if (paths) await makeSearchable(paths)
        return completed
      }),
    markDamaged: (sid, reason) =>
      storeStep(async () => {
        await markDamaged(await locate(sid), reason)
        writing.settled(sid)
      }),
    remove: (sid, request) =>
      inOrder(sid, async () => {
        const paths = await locate(sid)
        if (isLive(sid))
          throw problem('unavailable', `the session ${sid} still runs`, {hint: 'try again when it has ended'})
        const tombstone = await removeRecording(paths, request, signHead)
        writing.settled(sid)
        await committed(sid, () => clearDay(removal, paths.day, [paths]))
        return tombstone
      }),
    prune: prune => storeStep(() => pruneRecordings(removal, prune)),
    finishRemovals: request => storeStep(() => finishRemovals(removal, request)),
    tombstone: sid =>
      storeStep(async () => {
        const paths = await findRemoved(directory, sid)
        return paths && (await readTombstone(paths))
      }),
    hold: (sid, hold) =>
      inOrder(sid, async () => {
        const paths = await locate(sid)
        await requireNotBeingRemoved(paths)
        await writeHold(paths, hold)
        return await summaryOf(paths)
      }),
    release: (sid, announce) =>
      inOrder(sid, async () => {
        const paths = await locate(sid)
        const summary = await summaryOf(paths)
        if (!summary.hold) throw problem('not_found', `the recording of session ${sid} is not held`)
        await announce(summary)
        await removeHold(paths)
      }),
    oldestUnsealed: writing.oldestUnsealed,
  }
}

/** Runs the steps of each session one after the other. */
function createSessionTurns(): KeyedTurn {
  const inTurn = createKeyedTurn()
  return async (sid, step) => {
    requireSid(sid)
    return await inTurn(sid, () => storeStep(step))
  }
}
