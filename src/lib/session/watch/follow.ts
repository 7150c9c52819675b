import {setTimeout as sleep} from 'node:timers/promises'
import {problem} from '../../errors/index.js'

const firstRetryMilliseconds = 500
const maxRetryMilliseconds = 10_000

export interface FollowOptions<State> {
  /** Gives the whole state at once, and again after each change. */
  watch(request: {signal: AbortSignal}): Promise<AsyncIterable<State>>
  onState(state: State): void
  /** The state is no longer known; it is asked for again, with growing pauses. */
  onBlind(error: unknown): void
  signal: AbortSignal
}

/** Follows a state of the auth service over broken connections, until the signal. Never rejects. */
export async function followState<State>({
  watch,
  onState,
  onBlind,
  signal,
}: FollowOptions<State>): Promise<void> {
  let pause = firstRetryMilliseconds
  const follow = async (): Promise<never> => {
    for await (const state of await watch({signal})) {
      pause = firstRetryMilliseconds
      onState(state)
    }
    throw problem('unavailable', 'the auth service says no more about it')
  }
  while (!signal.aborted) {
    const error = await follow().catch((thrown: unknown) => thrown)
    if (signal.aborted) return
    onBlind(error)
    await sleep(pause, undefined, {signal}).catch(() => undefined)
    pause = Math.min(pause * 2, maxRetryMilliseconds)
  }
}
