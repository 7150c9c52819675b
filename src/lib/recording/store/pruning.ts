import {basename} from 'node:path'
import {asProblem} from '../../errors/index.js'
import type {Catalogue, Listed} from './catalogue.js'
import {listDays, listHeldOf, type RecordingPaths} from './files.js'
import {clearDay, type RemovalParts, type RemovalRequest, removeRecording} from './removal.js'

export interface PruneRequest {
  /** Unix ms: recordings whose session ended before this go. */
  before: number
  /** At most this many, so that the work is bounded. */
  most: number
  request: RemovalRequest
  /** Told of a recording that could not be removed, and why; it is tried again at the next time. */
  onProblem: (sid: string, error: unknown) => void
  /** Asked between two recordings; false ends the work. */
  goOn: () => boolean
}

export type PruneParts = RemovalParts & {
  catalogue: Pick<Catalogue, 'day' | 'forget'>
}

/** Removes what is older than the cluster keeps, oldest day first. Gives how many were removed. */
export async function pruneRecordings(parts: PruneParts, prune: PruneRequest): Promise<number> {
  let count = 0
  for (const day of (await listDays(parts.directory)).reverse()) {
    // No session of a day ended before the day began.
    if (Date.parse(`${basename(day)}T00:00:00Z`) >= prune.before || !prune.goOn()) return count
    const {removed, stopped} = await pruneDay(parts, day, {...prune, most: prune.most - count})
    if (removed.length > 0) await clearDay(parts, day, removed)
    count += removed.length
    if (stopped || count >= prune.most) return count
  }
  return count
}

async function pruneDay(
  parts: PruneParts,
  day: string,
  {before, most, request, onProblem, goOn}: PruneRequest,
): Promise<{removed: RecordingPaths[]; stopped: boolean}> {
  const held = await listHeldOf(day)
  const due = (await parts.catalogue.day(day)).filter(
    item => !held.has(item.paths.sid) && endOf(item) < before,
  )
  const removed: RecordingPaths[] = []
  for (const {paths} of due.reverse()) {
    if (removed.length >= most || !goOn()) break
    try {
      await parts.inOrder(paths.sid, () => removeRecording(paths, request, parts.signHead))
      removed.push(paths)
    } catch (error) {
      const {code} = asProblem(error)
      // One without an end waits for it; one that is held since, or that somebody else removes, is as it should be.
      if (code === 'unavailable' || code === 'access_denied' || code === 'not_found') continue
      onProblem(paths.sid, error)
      // What the disk or the audit log refuses once, they refuse the next one, too.
      if (code === 'store_failed') return {removed, stopped: true}
    }
  }
  return {removed, stopped: false}
}

const endOf = ({summary: {startedAt, durationMs}}: Listed): number => startedAt + durationMs
