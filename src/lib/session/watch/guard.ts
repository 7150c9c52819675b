import type {Duplex} from 'node:stream'
import type {Identity, Strictness} from '../../access/types.js'
import {problem, type SallyportError} from '../../errors/index.js'
import {hostOfAddress} from '../../names/index.js'
import type {LockWatch} from './lock-watch.js'

/** A connection to a host, by all that a lock can be against. */
export interface GuardedConnection {
  identity: Pick<Identity, 'user' | 'roles'>
  /** The login, or every login that it may be. */
  logins: readonly string[]
  host: string
  /** Other names by which a lock can mean the host. */
  aliases?: readonly string[]
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

/** Lets connections to hosts in: while no lock is against them, and no more of a user than the user's roles allow. */
export function createGuard(locks: LockWatch): ConnectionGuard {
  const counts = new Map<string, number>()
  const add = (user: string, difference: number): void => {
    const count = (counts.get(user) ?? 0) + difference
    if (count > 0) counts.set(user, count)
    else counts.delete(user)
  }
  return {
    enter({identity, logins, host, aliases = [], lock: strictness, maxConnections, onLocked}) {
      const user = identity.user.toLowerCase()
      const nodes = [host, ...aliases]
      const subject = () => ({...identity, logins, nodes})
      if (maxConnections > 0 && (counts.get(user) ?? 0) >= maxConnections)
        throw tooMany(identity.user, maxConnections)
      const unwatch = locks.watch({subject, strictness, end: onLocked})
      add(user, 1)
      let left = false
      return {
        reached(address) {
          nodes.push(hostOfAddress(address))
          locks.check(subject(), strictness)
        },
        leave() {
          if (left) return
          left = true
          unwatch()
          add(user, -1)
        },
      }
    },
  }
}

interface Dialling {
  dial(login?: string): Promise<{stream: Duplex; address: string}>
}

/** The target, whose address is shown to the guard when it is known. */
export const guardedTarget = <Target extends Dialling>(
  target: Target,
  place: () => GuardedPlace | undefined,
): Target => ({
  ...target,
  async dial(login) {
    const dialled = await target.dial(login)
    try {
      place()?.reached(dialled.address)
      return dialled
    } catch (error) {
      dialled.stream.destroy()
      throw error
    }
  },
})

const tooMany = (user: string, limit: number): SallyportError =>
  problem(
    'limit_exceeded',
    `${user} has ${limit} ${limit === 1 ? 'connection' : 'connections'} to hosts already, which is the limit`,
    {hint: 'end one, or use one connection for several sessions'},
  )
