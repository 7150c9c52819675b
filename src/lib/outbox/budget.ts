import {problem} from '../errors/index.js'
import type {Step} from './types.js'

/** What recordings leave free, so that how their sessions end can still be told. */
const EVENT_RESERVE = 16 * 1024 * 1024

/** The room that the spool may take, all lanes together. */
export interface Budget {
  readonly used: number
  /** @throws limit_exceeded when the step would take more than is left for its kind */
  admit(kind: Step['kind'], bytes: number): void
  take(bytes: number): void
  give(bytes: number): void
}

/** Recordings take up to `capBytes`, events that and EVENT_RESERVE more. */
export function createBudget(capBytes: number): Budget {
  let used = 0
  return {
    get used() {
      return used
    },
    admit(kind, bytes) {
      const isRecording = kind === 'begin' || kind === 'chunk'
      if (used + bytes > capBytes + (isRecording ? 0 : EVENT_RESERVE))
        throw problem('limit_exceeded', 'what waits for the auth service has reached its limit', {
          hint: 'bring the auth service back, or raise spool_limit',
        })
    },
    take(bytes) {
      used += bytes
    },
    give(bytes) {
      used -= bytes
    },
  }
}
