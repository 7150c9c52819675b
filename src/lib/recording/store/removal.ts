import {constants} from 'node:fs'
import {rm, stat} from 'node:fs/promises'
import {ifMissing, syncDirectory, writeFileAtomic} from '../../durable/index.js'
import {asProblem, problem} from '../../errors/index.js'
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
import type {Catalogue} from './catalogue.js'
import {
  isMarkedDamaged,
  isRemoved,
  listDays,
  listRemovedOf,
  openRegular,
  type RecordingPaths,
  removeContent,
} from './files.js'
import {readHold} from './hold.js'
import {readIndexFile} from './live-recording.js'

// Taking recordings away, so that a crash at any point leaves either the recording or its tombstone: the tombstone is
// durable first and counts from then on, then the content goes, then what was derived from it, and last the index, by
// whose presence the next start knows that it has to go on.

export interface RemovalRequest {
  /** Unix ms. */
  at: number
  by: string
  cause: RemovalCause
  reason?: string
  /** Puts the removal on record; called when nothing stands in its way, before anything is changed. */
  announce: (tombstone: Tombstone) => Promise<unknown>
}

export interface RemovalParts {
  directory: string
  signHead: (sid: string, head: string) => string | Promise<string>
  catalogue: Pick<Catalogue, 'forget'>
  indexer: Pick<ScreenIndexer, 'forget'>
}

/**
 * Takes a recording away but for its index; `clearDay` does the rest.
 * @throws access_denied while it is held, unavailable while it has no end
 */
export async function removeRecording(
  paths: RecordingPaths,
  request: RemovalRequest,
  signHead: RemovalParts['signHead'],
): Promise<Tombstone> {
  const {sid} = paths
  if (await isRemoved(paths)) throw problem('not_found', `there is no recording of session ${sid}`)
  if (await readHold(paths))
    throw problem('access_denied', `the recording of session ${sid} is under legal hold`, {
      hint: 'release it first: sallyport recordings release',
    })
  const tombstone = {...(await removable(paths)), ...removalFacts(request)}
  const statement = formatStatement(tombstone)
  const signature = await signHead(sid, statementDigest(statement))
  await request.announce(tombstone)
  await writeFileAtomic(paths.tombstone, formatTombstone(statement, signature), {exclusive: true})
  await removeContent(paths)
  return tombstone
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
  {catalogue, indexer}: RemovalParts,
  day: string,
  removed: readonly RecordingPaths[],
): Promise<void> {
  const sids = new Set(removed.map(({sid}) => sid))
  await catalogue.forget(day, sids)
  await indexer.forget(day, sids)
  for (const {index} of removed) await rm(index, {force: true})
  await syncDirectory(day)
}

/** Goes on with removals that a crash cut off. Gives how many there were. */
export async function finishRemovals(parts: RemovalParts): Promise<number> {
  let count = 0
  for (const day of await listDays(parts.directory)) {
    const left = (await listRemovedOf(day)).filter(({unfinished}) => unfinished).map(({paths}) => paths)
    if (left.length === 0) continue
    for (const paths of left) await removeContent(paths)
    await clearDay(parts, day, left)
    count += left.length
  }
  return count
}

/** The text of a tombstone and what it says. Throws `recording_corrupt`. */
export async function readTombstone(paths: RecordingPaths): Promise<{text: string; tombstone: Tombstone}> {
  const handle = await openRegular(paths.tombstone, constants.O_RDONLY)
  try {
    if ((await handle.stat()).size > TOMBSTONE_BYTES)
      throw problem('recording_corrupt', 'the tombstone of the recording is too long')
    const text = await handle.readFile('utf8')
    return {text, tombstone: parseTombstone(text)}
  } finally {
    await handle.close()
  }
}
