import {lstat} from 'node:fs/promises'
import {basename} from 'node:path'
import {isMissing} from '../../durable/index.js'
import {mapParallel} from '../../waiting/index.js'
import type {RecordingSummary} from '../types.js'
import {type CatalogueEntry, readCatalogueFile, writeCatalogueFile} from './catalogue-file.js'
import {listRecordingsOf, type RecordingPaths} from './files.js'
import {readSummary} from './summary.js'

export interface CatalogueOptions {
  /** Unix ms. */
  now: () => number
  /** Told of a recording that has to be left out, and why. */
  onDamage?: ((sid: string, error: unknown) => void) | undefined
}

export interface Listed {
  paths: RecordingPaths
  summary: RecordingSummary
}

/** What decides where a recording stands in a list. */
export interface Place {
  paths: Pick<RecordingPaths, 'sid' | 'day'>
  summary: Pick<RecordingSummary, 'startedAt'>
}

/**
 * Summaries of recordings by day, remembered in memory and in a file beside them. Which recordings there are is always
 * asked of the directory. Only sealed recordings are remembered: nothing about them changes any more.
 */
export interface Catalogue {
  /** Every recording of a day directory, newest first. */
  day(directory: string): Promise<Listed[]>
  /** What was listed as its index says now; undefined when it is gone. */
  confirm(listed: Listed): Promise<Listed | undefined>
  /** Nothing of these recordings of a day stays, in memory or in its file. */
  forget(directory: string, sids: ReadonlySet<string>): Promise<void>
}

/** Entries held in memory, about 50 MB; the days longest unused go first. */
const REMEMBERED = 50_000
/** Today's file is written anew after this many recordings more; that of a day gone by after any. */
const UNSAVED_TODAY = 256
const READ_AT_ONCE = 32
const FORGOTTEN = 20_000

type Day = Map<string, CatalogueEntry>

export function createCatalogue({now, onDamage}: CatalogueOptions): Catalogue {
  const days = new Map<string, Day>()
  /** Removed while this process runs: a list under way must not bring them back. */
  const forgotten = new Set<string>()

  const remembered = async (directory: string, there: RecordingPaths[]): Promise<Day> => {
    const day = days.get(directory) ?? (await fromFile(directory, there))
    days.delete(directory)
    days.set(directory, day)
    forgetOldest(days)
    return day
  }

  const read = async (paths: RecordingPaths, day: Day): Promise<Listed | undefined> => {
    try {
      // The stamp comes first: what is written after it is noticed.
      const {size: indexBytes, mtimeMs: indexMtimeMs} = await lstat(paths.index)
      const summary = await readSummary(paths)
      if (forgotten.has(paths.sid)) return undefined
      if (summary.state === 'sealed') day.set(paths.sid, {summary, indexBytes, indexMtimeMs})
      return {paths, summary}
    } catch (error) {
      // One damaged recording must not hide the others; one that was removed meanwhile is no damage.
      if (!isMissing(error)) onDamage?.(paths.sid, error)
      return undefined
    }
  }

  const save = async (directory: string, day: Day, fresh: number): Promise<void> => {
    const today = basename(directory) >= new Date(now()).toISOString().slice(0, 10)
    if (fresh < (today ? UNSAVED_TODAY : 1)) return
    // Where it cannot be written the next start reads the indexes again.
    await writeCatalogueFile(directory, day.values()).catch(() => undefined)
  }

  return {
    async day(directory) {
      const there = await listRecordingsOf(directory)
      const day = await remembered(directory, there)
      const before = day.size
      const present = new Set(there.map(({sid}) => sid))
      for (const sid of day.keys()) if (!present.has(sid)) day.delete(sid)
      const listed = await mapParallel(there, READ_AT_ONCE, async paths => {
        const entry = day.get(paths.sid)
        return entry ? {paths, summary: entry.summary} : await read(paths, day)
      })
      await save(directory, day, day.size - before)
      return listed.filter(item => item !== undefined).sort(newestFirst)
    },
    async confirm({paths, summary}) {
      const day = days.get(paths.day)
      if (summary.state !== 'sealed') return {paths, summary}
      if (await isCurrent(paths, day?.get(paths.sid))) return {paths, summary}
      day?.delete(paths.sid)
      return await read(paths, day ?? new Map())
    },
    async forget(directory, sids) {
      const day = days.get(directory)
      for (const sid of sids) {
        forgotten.add(sid)
        day?.delete(sid)
      }
      // No list takes so long.
      for (const sid of forgotten) if (forgotten.size > FORGOTTEN) forgotten.delete(sid)
      const kept = (await readCatalogueFile(directory)).filter(({summary}) => !sids.has(summary.sid))
      await writeCatalogueFile(directory, kept)
    },
  }
}

/** What the file of a day remembers and is still so. */
async function fromFile(directory: string, there: RecordingPaths[]): Promise<Day> {
  const entries = new Map((await readCatalogueFile(directory)).map(entry => [entry.summary.sid, entry]))
  const kept = await mapParallel(there, READ_AT_ONCE, async paths => {
    const entry = entries.get(paths.sid)
    return (await isCurrent(paths, entry)) ? entry : undefined
  })
  return new Map(kept.flatMap(entry => (entry ? [[entry.summary.sid, entry]] : [])))
}

/** Whether the index is the one that an entry was read from, as far as size and time tell. */
async function isCurrent({index}: RecordingPaths, entry: CatalogueEntry | undefined): Promise<boolean> {
  if (!entry) return false
  const stamp = await lstat(index).catch(() => undefined)
  return stamp?.size === entry.indexBytes && stamp.mtimeMs === entry.indexMtimeMs
}

/** A total order, so that a page can begin where the one before ended. */
export const newestFirst = (a: Place, b: Place): number =>
  b.summary.startedAt - a.summary.startedAt || (a.paths.sid < b.paths.sid ? 1 : -1)

function forgetOldest(days: Map<string, Day>): void {
  let count = [...days.values()].reduce((sum, day) => sum + day.size, 0)
  for (const [directory, day] of days) {
    if (count <= REMEMBERED || days.size === 1) return
    days.delete(directory)
    count -= day.size
  }
}
