import type {EventEmitter} from 'node:events'

const signals = ['SIGTERM', 'SIGINT'] as const

/** `timeout`, npm and terminals send one signal twice: what follows the first so closely is its echo. */
const echoMilliseconds = 500

export interface StopOptions {
  emitter?: EventEmitter
  now?: () => number
  /** SIGHUP is such a signal, too. */
  hangUp?: boolean
}

/**
 * Resolves with the first SIGTERM or SIGINT. From then on the process is on its way out: a second signal calls `force`
 * at once.
 */
export function stopSignal(
  force: () => void,
  {emitter = process, now = () => performance.now(), hangUp = false}: StopOptions = {},
): Promise<NodeJS.Signals> {
  return new Promise(resolve => {
    let stoppingSince: number | undefined
    const heard = (signal: NodeJS.Signals): void => {
      if (stoppingSince !== undefined && now() - stoppingSince > echoMilliseconds) force()
      stoppingSince ??= now()
      resolve(signal)
    }
    for (const signal of signals) emitter.on(signal, heard)
    if (hangUp) emitter.on('SIGHUP', heard)
  })
}
