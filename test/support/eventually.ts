import {setTimeout as sleep} from 'node:timers/promises'

/** Longer than what is right takes on the busiest machine. */
const patienceMs = 60_000

/**
 * Waits until `look` finds something, by looking again and again; resolves with that. For what tells nobody when it happens.
 * @param what completes "it never came to pass that"; default: the source of `look`
 * @param pauseMs between two looks
 */
export async function eventually<Found>(
  look: () => Found | undefined | false | Promise<Found | undefined | false>,
  what: string | (() => string) = () => look.toString(),
  pauseMs = 20,
): Promise<Found> {
  for (const deadline = performance.now() + patienceMs; performance.now() < deadline; ) {
    const found = await look()
    if (found) return found
    await sleep(pauseMs)
  }
  throw new Error(`it never came to pass that ${typeof what === 'string' ? what : what()}`)
}
