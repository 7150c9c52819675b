import {constants} from 'node:fs'
import {rename, rm, stat} from 'node:fs/promises'
import {ifMissing, syncDirectory, systemErrorWords, writeFileAtomic} from '../../durable/index.js'
import {asProblem, problem, SallyportError} from '../../errors/index.js'
import {
  formatStatement,
  formatTombstone,
  parseTombstone,
  type RemovalCause,
  statementDigest,
  TOMBSTONE_BYTES,
  type Tombstone,
} from '../evidence/tombstone.js'
import type {RecordingIndex} from '../format/index-file.js'
import type {ScreenIndexer} from '../screen/indexer.js'
import {stableUid} from '../stable-uid.js'
import type {Catalogue} from './catalogue.js'
import {
  isBeingRemoved,
  isMarkedDamaged,
  isRemoved,
  openRegular,
  type RecordingPaths,
  removeContent,
  removeTemporary,
} from './files.js'
import {readHold} from './hold.js'
import {readIndexFile} from './live-recording.js'

// Taking recordings away, so that a crash at any point leaves something to go on from. The tombstone is written first,
// under the name of a removal to come; then the removal goes on record; then the tombstone gets its own name, and counts
// from then on; then the content goes, then what was derived from it, and last the index. Whatever finds the first name
// goes on with putting it on record (which an event of the same uid does once), whatever finds tombstone and index with the rest.

export interface RemovalRequest {
  /** Unix ms. */
  at: number
  by: string
  cause: RemovalCause
  reason?: string
  announce: AnnounceRemoval
}

/**
 * Puts the removal on record, when nothing stands in its way. Called again with the same uid where it is not known whether
 * that was done.
 */
export type AnnounceRemoval = (tombstone: Tombstone, uid: string) => Promise<unknown>

export interface RemovalParts {
  directory: string
  signHead: (sid: string, head: string) => string | Promise<string>
  catalogue: Pick<Catalogue, 'forget'>
  indexer: Pick<ScreenIndexer, 'forget'>
  /** Runs a step of a recording when no other is under way. */
  inOrder: <T>(sid: string, step: () => Promise<T>) => Promise<T>
}

/**
 * Takes a recording away but for its index; `clearDay` does the rest.
 * @throws access_denied while it is held, unavailable while it has no end or is being removed, store_failed
 */
export async function removeRecording(
  paths: RecordingPaths,
  request: RemovalRequest,
  signHead: RemovalParts['signHead'],
): Promise<Tombstone> {
  const {sid} = paths
  if (await isRemoved(paths)) throw problem('not_found', `there is no recording of session ${sid}`)
  await requireNotBeingRemoved(paths)
  if (await readHold(paths))
    throw problem('access_denied', `the recording of session ${sid} is under legal hold`, {
      hint: 'release it first: sallyport recordings release',
    })
  const tombstone = {...(await removable(paths)), ...removalFacts(request)}
  const statement = formatStatement(tombstone)
  const signature = await signHead(sid, statementDigest(statement))
  const text = formatTombstone(statement, signature)
  await writeFileAtomic(paths.removing, text, {exclusive: true})
  try {
    await request.announce(tombstone, stableUid(text))
  } catch (error) {
    // Where even this fails, the next sweep goes on with the removal, which whoever asked for it had the right to.
    await dropRemoving(paths).catch(() => undefined)
    throw error
  }
  await committed(sid, () => entomb(paths))
  return tombstone
}

/** Runs a step of a removal that is on record already: it can only be delayed any more. @throws store_failed */
export async function committed(sid: string, step: () => Promise<void>): Promise<void> {
  try {
    await step()
  } catch (cause) {
    const why = cause instanceof SallyportError ? cause.message : systemErrorWords(cause)
    throw problem('store_failed', `the removal of session ${sid} is on record, but not finished: ${why}`, {
      hint: 'the service goes on with it within the hour, and at its next start',
      cause,
    })
  }
}

/** Throws `unavailable`. */
export async function requireNotBeingRemoved(paths: RecordingPaths): Promise<void> {
  if (!(await isBeingRemoved(paths))) return
  throw problem('unavailable', `the recording of session ${paths.sid} is being removed`, {
    hint: 'the service finishes that within the hour, and at its next start',
  })
}

/** The removal is on record. */
export async function entomb(paths: RecordingPaths): Promise<void> {
  await rename(paths.removing, paths.tombstone)
  await syncDirectory(paths.day)
  await removeContent(paths)
}

/** The removal does not take place. */
export async function dropRemoving({day, removing}: RecordingPaths): Promise<void> {
  await rm(removing, {force: true})
  await syncDirectory(day)
}

const removalFacts = ({at, by, cause, reason}: RemovalRequest) => ({
  ...{removedAt: at, removedBy: by, cause},
  ...(reason !== undefined && {reason}),
})

/** What a tombstone says of the recording. One without an end may be going on, unless nobody could go on with it. */
async function removable(
  paths: RecordingPaths,
): Promise<Pick<Tombstone, 'sid' | 'bytes' | 'recording' | 'end'>> {
  const {sid} = paths
  const index = await readIndexOrDamage(paths)
  if (index && !index.seal && !(await isMarkedDamaged(paths)))
    throw problem('unavailable', `the recording of session ${sid} has no end yet`, {
      hint: 'try again when the session has ended',
    })
  const bytes = await stat(paths.data).then(({size}) => size, ifMissing(0))
  if (!index) return {sid, bytes}
  const {cluster, user, login, host, address, startedAt, interactive} = index.meta
  const recording = {cluster, user, login, host, address, startedAt, interactive}
  return {sid, bytes, recording, ...(index.seal && {end: index.seal})}
}

/** The index; undefined where it is damaged. */
const readIndexOrDamage = (paths: RecordingPaths): Promise<RecordingIndex | undefined> =>
  readIndexFile(paths).catch(error => {
    if (asProblem(error).code !== 'recording_corrupt') throw error
    return undefined
  })

/** Takes away what was derived from recordings of one day that are removed, and their indexes. */
export async function clearDay(
  {catalogue, indexer}: Pick<RemovalParts, 'catalogue' | 'indexer'>,
  day: string,
  removed: readonly RecordingPaths[],
): Promise<void> {
  const sids = new Set(removed.map(({sid}) => sid))
  await catalogue.forget(day, sids)
  await indexer.forget(day, sids)
  await removeTemporary(day, sids)
  for (const {index} of removed) await rm(index, {force: true})
  await syncDirectory(day)
}

/** The text of a tombstone and what it says. Throws `recording_corrupt`. */
export async function readTombstone(paths: RecordingPaths): Promise<{text: string; tombstone: Tombstone}> {
  const text = await readTombstoneText(paths, 'tombstone')
  return {text, tombstone: parseTombstone(text)}
}

/** The text of a tombstone, or of one `removing`; of one that is too long to be one, its beginning. */
export async function readTombstoneText(
  paths: RecordingPaths,
  which: 'tombstone' | 'removing',
): Promise<string> {
  const handle = await openRegular(paths[which], constants.O_RDONLY)
  try {
    const {bytesRead, buffer} = await handle.read({buffer: Buffer.alloc(TOMBSTONE_BYTES)})
    return buffer.toString('utf8', 0, bytesRead)
  } finally {
    await handle.close()
  }
}
