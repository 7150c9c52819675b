import type {Backend} from '../../backend/index.js'

/**
 * What `read` finds under a prefix of the backend: at once, and again whenever something there has changed. Whoever is
 * slow gets the newest state, and none of those between; whoever begins again misses nothing. Ends with the signal.
 */
export async function* watchState<State>({
  backend,
  prefix,
  read,
  signal,
}: {
  backend: Backend
  prefix: string
  read(): Promise<State>
  signal: AbortSignal
}): AsyncGenerator<State> {
  let changed = true
  let wake = (): void => undefined
  const stop = backend.watch(prefix, () => {
    changed = true
    wake()
  })
  const abort = (): void => wake()
  signal.addEventListener('abort', abort)
  try {
    while (!signal.aborted) {
      if (changed) {
        changed = false
        yield await read()
      } else {
        await new Promise<void>(resolve => {
          wake = resolve
        })
      }
    }
  } finally {
    stop()
    signal.removeEventListener('abort', abort)
  }
}
