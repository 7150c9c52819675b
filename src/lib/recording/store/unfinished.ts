import {parseTombstone, type Tombstone} from '../evidence/tombstone.js'
import {stableUid} from '../stable-uid.js'
import {
  isBeingRemoved,
  isRemoved,
  listDays,
  listRemovedOf,
  listRemovingOf,
  type RecordingPaths,
  removeContent,
} from './files.js'
import {readHold} from './hold.js'
import {
  type AnnounceRemoval,
  clearDay,
  dropRemoving,
  entomb,
  type RemovalParts,
  readTombstoneText,
} from './removal.js'

export interface FinishRequest {
  announce: AnnounceRemoval
  /** Takes back, on record, a removal that may have been announced and cannot take place. The uid as of `announce`. */
  cancel: (sid: string, reason: string, uid: string) => Promise<unknown>
  /** Told of a removal that cannot be finished now, and why; it is tried again at the next time. */
  onProblem: (sid: string, error: unknown) => void
}

/** Goes on with removals that a crash or a disk cut off. Gives how many were finished. */
export async function finishRemovals(parts: RemovalParts, request: FinishRequest): Promise<number> {
  let count = 0
  for (const day of await listDays(parts.directory)) {
    for (const paths of await listRemovingOf(day))
      await parts
        .inOrder(paths.sid, () => goOn(paths, request))
        .catch(error => request.onProblem(paths.sid, error))
    const left = (await listRemovedOf(day)).filter(({unfinished}) => unfinished).map(({paths}) => paths)
    count += await clear(parts, day, left, request)
  }
  return count
}

async function clear(
  parts: RemovalParts,
  day: string,
  left: readonly RecordingPaths[],
  {onProblem}: FinishRequest,
): Promise<number> {
  if (left.length === 0) return 0
  try {
    for (const paths of left) await removeContent(paths)
    await clearDay(parts, day, left)
    return left.length
  } catch (error) {
    // One day that cannot be finished holds none of the others up.
    for (const {sid} of left) onProblem(sid, error)
    return 0
  }
}

/** From the decision to remove to the tombstone; whoever decided it had the right to, and nothing may keep it half done. */
async function goOn(paths: RecordingPaths, {announce, cancel}: FinishRequest): Promise<void> {
  // Whoever decided it may have come further meanwhile.
  if (!(await isBeingRemoved(paths))) return
  if (await isRemoved(paths)) return await dropRemoving(paths)
  const text = await readTombstoneText(paths, 'removing')
  const decided = await decision(paths, text)
  if (typeof decided === 'string') {
    await cancel(paths.sid, decided, stableUid(`cancelled ${paths.sid} ${text}`))
    return await dropRemoving(paths)
  }
  await announce(decided, stableUid(text))
  await entomb(paths)
}

/** What was decided; in words, why that counts for nothing. */
async function decision(paths: RecordingPaths, text: string): Promise<Tombstone | string> {
  if (await readHold(paths)) return 'it is under legal hold'
  try {
    const decided = parseTombstone(text)
    return decided.sid === paths.sid ? decided : 'what was decided is of another session'
  } catch {
    // Damage of any kind is the answer.
    return 'what was decided cannot be read any more'
  }
}
