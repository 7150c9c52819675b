import type {BackendEvent} from './types.js'

type Listener = (event: BackendEvent) => void

export interface Watchers {
  add(prefix: string, listener: Listener): () => void
  announce(events: readonly BackendEvent[]): void
}

/**
 * Listeners by prefix. A listener that throws must not make a durable write look failed, nor keep the others from
 * hearing of it: its error surfaces as an uncaught exception of its own.
 */
export function createWatchers(): Watchers {
  const watchers = new Set<{prefix: string; listener: Listener}>()
  return {
    add(prefix, listener) {
      const watcher = {prefix, listener}
      watchers.add(watcher)
      return () => void watchers.delete(watcher)
    },
    announce(events) {
      for (const event of events) {
        for (const {prefix, listener} of [...watchers]) {
          if (!event.key.startsWith(prefix)) continue
          try {
            listener(event)
          } catch (error) {
            queueMicrotask(() => {
              throw error
            })
          }
        }
      }
    },
  }
}
