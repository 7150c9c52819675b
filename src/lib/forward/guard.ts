import type {Duplex} from 'node:stream'
import type {Identity, Strictness} from '../access/types.js'
import type {SallyportError} from '../errors/index.js'

/** A connection to a host, by all that a lock can be against. */
export interface GuardedConnection {
  identity: Pick<Identity, 'user' | 'roles'>
  /** The login, or every login that it may be. */
  logins: readonly string[]
  host: string
  /** What becomes of it when nobody can say which locks are in force. */
  lock: Strictness
  /** Of the user, at a time; 0 is no limit. */
  maxConnections: number
  /** To be over within two seconds. Called once, never from within `enter`. */
  onLocked(error: SallyportError): void
}

/** A connection that was let in. */
export interface GuardedPlace {
  /** To be told before anything is sent to the address, `ip:port`. @throws access_denied */
  reached(address: string): void
  leave(): void
}

/** Stands at the way to the hosts, and keeps an eye on everybody who was let in. */
export interface ConnectionGuard {
  /** @throws access_denied, limit_exceeded, unavailable */
  enter(connection: GuardedConnection): GuardedPlace
}

interface Dialling {
  dial(): Promise<{stream: Duplex; address: string}>
}

/** The target, whose address is shown to the guard when it is known. */
export const guardedTarget = <Target extends Dialling>(
  target: Target,
  place: () => GuardedPlace | undefined,
): Target => ({
  ...target,
  async dial() {
    const dialled = await target.dial()
    try {
      place()?.reached(dialled.address)
      return dialled
    } catch (error) {
      dialled.stream.destroy()
      throw error
    }
  },
})
