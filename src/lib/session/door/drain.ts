import {problem, type SallyportError} from '../../errors/index.js'
import {within} from '../../waiting/index.js'
/** Told to those who come while everybody is leaving. */
export const shuttingDown = (what: 'node' | 'proxy'): SallyportError =>
  problem('unavailable', `the ${what} is shutting down`, {hint: 'connect again in a moment'})

export interface Draining {
  /** Resolves when nobody is left. */
  done(): Promise<unknown>
  /** Time for everybody to leave by themselves. */
  milliseconds: number
  /** Ends those who have not. */
  end(): void
}

/** Waits until nobody is left: those who stay beyond their time are ended. */
export async function drain({done, milliseconds, end}: Draining): Promise<void> {
  await within(milliseconds, done(), () => undefined)
  end()
  await done()
}
