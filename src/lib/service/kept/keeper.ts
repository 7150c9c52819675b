import {rm} from 'node:fs/promises'
import {setTimeout as sleep} from 'node:timers/promises'
import {systemErrorWords, writeFileAtomic} from '../../durable/index.js'

export interface KeeperOptions {
  path: string
  log: {error(fields: object, message: string): void}
  /** Least time between two writes. Default: none. */
  pauseMilliseconds?: number
  /** Pause between two attempts after one that failed. */
  retryMilliseconds?: number
}

/** Keeps the newest text of a file on disk, 0600. */
export interface Keeper {
  /**
   * Of several that come while one is written the last one counts. Resolves when it, or a later one, is on disk or failed.
   * @param outdates where this cannot be written, what is there must not be gone by any more: it is removed
   */
  keep(text: () => string, outdates?: boolean): Promise<void>
  /** Resolves when what is under way is done; writes nothing any more. */
  close(): Promise<void>
}

const defaultRetryMilliseconds = 30_000

/** What cannot be written is tried again. */
export function createKeeper({
  path,
  log,
  pauseMilliseconds = 0,
  retryMilliseconds = defaultRetryMilliseconds,
}: KeeperOptions): Keeper {
  const stop = new AbortController()
  let next: {text: () => string; outdates: boolean} | undefined
  let writing: Promise<void> | undefined
  let retry: NodeJS.Timeout | undefined
  let failed = false

  const writeAll = async (): Promise<void> => {
    for (let waiting = next; waiting; waiting = next) {
      next = undefined
      try {
        await writeFileAtomic(path, waiting.text(), {mode: 0o600})
        failed = false
      } catch (error) {
        await notWritten(error, waiting)
        break
      }
      if (next && pauseMilliseconds > 0) await pause(pauseMilliseconds, stop.signal)
    }
    writing = undefined
  }
  const notWritten = async (error: unknown, waiting: NonNullable<typeof next>): Promise<void> => {
    if (!failed)
      log.error(
        {error: systemErrorWords(error)},
        'what is known of the cluster cannot be kept: a start without the auth service may fail',
      )
    failed = true
    next ??= waiting
    if (waiting.outdates)
      await rm(path, {force: true}).catch(() => {
        // The disk that does not take the new state does not give up the old one either; the log says so already.
      })
    if (!stop.signal.aborted) retry = setTimeout(() => void begin(), retryMilliseconds).unref()
  }
  const begin = (): Promise<void> => {
    clearTimeout(retry)
    writing ??= writeAll()
    return writing
  }
  return {
    async keep(text, outdates = false) {
      if (stop.signal.aborted) return
      next = {text, outdates: outdates || next?.outdates === true}
      await begin()
    },
    async close() {
      stop.abort()
      await writing
      clearTimeout(retry)
    },
  }
}

/** Ends early with the signal. */
const pause = (milliseconds: number, signal: AbortSignal): Promise<void> =>
  sleep(milliseconds, undefined, {signal, ref: false}).catch(() => undefined)
