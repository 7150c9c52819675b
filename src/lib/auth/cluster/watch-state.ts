import {setTimeout as sleep} from 'node:timers/promises'
import type {Backend} from '../../backend/index.js'

export interface WatchOptions<State> {
  backend: Backend
  /** A change of anything under one of these is a change of the state. */
  prefixes: readonly string[]
  read(): Promise<State>
  signal: AbortSignal
  /** From one state to the next it takes at least this long. */
  pauseMs?: number
}

/**
 * What `read` finds: at once, and again whenever something under the prefixes has changed. Whoever is slow gets the newest
 * state, and none of those between; whoever begins again misses nothing. Ends with the signal.
 */
export async function* watchState<State>({
  backend,
  prefixes,
  read,
  signal,
  pauseMs = 0,
}: WatchOptions<State>): AsyncGenerator<State> {
  let changed = true
  let wake = (): void => undefined
  const change = (): void => {
    changed = true
    wake()
  }
  const stops = prefixes.map(prefix => backend.watch(prefix, change))
  signal.addEventListener('abort', change)
  try {
    while (!signal.aborted) {
      if (changed) {
        changed = false
        yield await read()
        // Cut short by the signal, the pause ends with an error; the loop sees why.
        if (pauseMs > 0) await sleep(pauseMs, undefined, {signal}).catch(() => undefined)
      } else {
        await new Promise<void>(resolve => {
          wake = resolve
        })
      }
    }
  } finally {
    for (const stop of stops) stop()
    signal.removeEventListener('abort', change)
  }
}
