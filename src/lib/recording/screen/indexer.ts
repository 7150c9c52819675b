import {rm} from 'node:fs/promises'
import {constants} from 'node:os'
import {SallyportError} from '../../errors/index.js'
import {createTurn} from '../../waiting/index.js'
import {type Helper, startHelper} from '../helper.js'
import {appendSearchEntry, readSearchFile, rewriteSearchFile, type SearchEntry} from '../search/file.js'
import type {Catalogue} from '../store/catalogue.js'
import {isRemoved, listDays, type RecordingPaths} from '../store/files.js'
import type {ScreenFileJob} from './file.js'
import type {ScreenAnswer} from './screen-process.js'

export interface ScreenIndexerOptions {
  directory: string
  catalogue: Catalogue
  isLive: (sid: string) => boolean
  /** Told of a recording whose screen cannot be read, and why. */
  onDamage?: ((sid: string, error: unknown) => void) | undefined
}

/** Reads the screens of recordings in the background, one after the other. What it has done it finds again. */
export interface ScreenIndexer {
  /** Reads this one soon. */
  add(paths: RecordingPaths, bytes: number): void
  /** Goes through all recordings for those not read yet, newest day first; once at a time. */
  sweep(): void
  /** Nothing of these recordings of a day stays in its search file, and what is being read of them is not kept. */
  forget(day: string, sids: ReadonlySet<string>): Promise<void>
  /** Resolves when there is nothing left to do. */
  idle(): Promise<void>
  close(): Promise<void>
}

interface Task {
  paths: RecordingPaths
  bytes: number
}

/** The work on one recording is ended by itself much earlier, unless it hangs. */
const TIMEOUT_MS = 300_000
const helperOptions = {heapMegabytes: 256, priority: constants.priority.PRIORITY_LOW}

export function createScreenIndexer(options: ScreenIndexerOptions): ScreenIndexer {
  const {directory, catalogue, isLive, onDamage} = options
  const queue: Task[] = []
  const ends = new Map<string, number>()
  let helper: Helper<ScreenFileJob, ScreenAnswer> | undefined
  let working: Promise<void> | undefined
  let sweeping: Promise<void> | undefined
  let closed = false
  /** One writer of search files at a time. */
  const inTurn = createTurn()

  const read = async ({paths, bytes}: Task): Promise<SearchEntry> => {
    const {sid, data, screen} = paths
    try {
      helper ??= startHelper('screen/screen-process', helperOptions)
      const {complete, signature} = await helper.ask({data, bytes, screen}, TIMEOUT_MS)
      return {sid, bytes, read: complete ? 'whole' : 'partly', signature}
    } catch (error) {
      helper?.close()
      helper = undefined
      if (!closed) onDamage?.(sid, error)
      return {sid, bytes, read: 'unreadable', signature: Buffer.of(0)}
    }
  }

  const keep = ({paths}: Task, entry: SearchEntry): Promise<void> =>
    inTurn(async () => {
      const {day, screen} = paths
      // It was removed while it was read: what was read goes, too.
      if (await isRemoved(paths)) return await rm(screen, {force: true})
      const end = ends.get(day) ?? (await endOf(day))
      ends.set(day, await appendSearchEntry(day, end, entry))
    })

  const work = async (): Promise<void> => {
    for (let task = queue.shift(); task && !closed; task = queue.shift()) {
      const entry = await read(task)
      if (closed) return
      // Where it cannot be kept (the disk is full), the next sweep comes back to it.
      await keep(task, entry).catch(error => onDamage?.(task.paths.sid, error))
    }
    helper?.close()
    helper = undefined
  }

  const start = (): Promise<void> => {
    working ??= work().finally(() => {
      working = undefined
    })
    return working
  }

  const add = (paths: RecordingPaths, bytes: number): void => {
    if (closed || queue.some(task => task.paths.sid === paths.sid)) return
    queue.push({paths, bytes})
    void start()
  }

  const sweepDay = async (day: string): Promise<void> => {
    const known = new Map<string, number>()
    for await (const {entry} of readSearchFile(day)) known.set(entry.sid, entry.bytes)
    for (const {paths, summary} of await catalogue.day(day))
      if (known.get(paths.sid) !== summary.bytes && !isLive(paths.sid))
        queue.push({paths, bytes: summary.bytes})
    await start()
  }

  const sweep = async (): Promise<void> => {
    for (const day of await listDays(directory)) {
      if (closed) return
      await sweepDay(day)
    }
  }

  return {
    add,
    sweep() {
      sweeping ??= sweep()
        .catch(error => onDamage?.('', error))
        .finally(() => {
          sweeping = undefined
        })
    },
    forget: (day, sids) =>
      inTurn(async () => {
        for (let at = queue.length - 1; at >= 0; at -= 1)
          if (sids.has(queue[at]?.paths.sid ?? '')) queue.splice(at, 1)
        ends.delete(day)
        await rewriteSearchFile(day, sid => !sids.has(sid))
      }),
    async idle() {
      while (working || sweeping) await (sweeping ?? working)
    },
    async close() {
      closed = true
      queue.length = 0
      helper?.close()
      await sweeping
      await working
    },
  }
}

async function endOf(day: string): Promise<number> {
  let last = 0
  for await (const {end} of readSearchFile(day)) last = end
  return last
}

export const isTimeout = (error: unknown): boolean =>
  error instanceof SallyportError && error.code === 'timeout'
