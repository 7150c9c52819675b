import type {AuditInput} from '../../audit/event.js'
import type {Pace} from './pace.js'

/** Events that are being written at once; above it the bytes have to wait. */
const maxUnwritten = 256

/** Writes events in their order without anybody waiting, but never more at once than memory can bear. */
export interface EventWriter {
  write(input: AuditInput): void
  /** Resolves when there is room again; undefined while there is. */
  room(): Promise<void> | undefined
  /** Resolves when nothing is being written. */
  idle(): Promise<void>
}

/** @param pace what the log can bear of one session */
export function eventWriter(
  emit: (input: AuditInput) => Promise<unknown>,
  onFailure: (error: unknown) => void,
  pace: Pace,
): EventWriter {
  let unwritten = 0
  let waiters: {limit: number; resolve: () => void}[] = []
  const below = (limit: number): Promise<void> =>
    new Promise(resolve => {
      waiters.push({limit, resolve})
    })
  const settle = (): void => {
    unwritten--
    const ready = waiters.filter(({limit}) => unwritten <= limit)
    waiters = waiters.filter(({limit}) => unwritten > limit)
    for (const {resolve} of ready) resolve()
  }
  return {
    write(input) {
      unwritten++
      pace.take()
      void emit(input).catch(onFailure).finally(settle)
    },
    room() {
      const durable = unwritten < maxUnwritten ? undefined : below(maxUnwritten / 2)
      const rest = pace.rest()
      return rest && durable ? Promise.all([rest, durable]).then(() => undefined) : (rest ?? durable)
    },
    idle: () => (unwritten === 0 ? Promise.resolve() : below(0)),
  }
}
