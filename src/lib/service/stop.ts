import type {EventEmitter} from 'node:events'

const signals = ['SIGTERM', 'SIGINT'] as const

/**
 * Resolves with the first SIGTERM or SIGINT. From then on the process is on its way out: a second signal calls `force`
 * at once.
 */
export function stopSignal(force: () => void, emitter: EventEmitter = process): Promise<NodeJS.Signals> {
  return new Promise(resolve => {
    let stopping = false
    const heard = (signal: NodeJS.Signals): void => {
      if (stopping) force()
      stopping = true
      resolve(signal)
    }
    for (const signal of signals) emitter.on(signal, heard)
  })
}
