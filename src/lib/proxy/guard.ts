import {problem, type SallyportError} from '../errors/index.js'
import type {ConnectionGuard} from '../forward/index.js'
import type {LockWatch} from './lock-watch.js'

/** Lets connections to hosts in: while no lock is against them, and no more of a user than the user's roles allow. */
export function createGuard(locks: LockWatch): ConnectionGuard {
  const counts = new Map<string, number>()
  const add = (user: string, difference: number): void => {
    const count = (counts.get(user) ?? 0) + difference
    if (count > 0) counts.set(user, count)
    else counts.delete(user)
  }
  return {
    enter({identity, logins, host, lock: strictness, maxConnections, onLocked}) {
      const user = identity.user.toLowerCase()
      const nodes = [host]
      const subject = () => ({...identity, logins, nodes})
      if (maxConnections > 0 && (counts.get(user) ?? 0) >= maxConnections)
        throw tooMany(identity.user, maxConnections)
      const unwatch = locks.watch({subject, strictness, end: onLocked})
      add(user, 1)
      let left = false
      return {
        reached(address) {
          nodes.push(address.replace(/:\d+$/, '').replace(/^\[(.*)\]$/, '$1'))
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

const tooMany = (user: string, limit: number): SallyportError =>
  problem(
    'limit_exceeded',
    `${user} has ${limit} ${limit === 1 ? 'connection' : 'connections'} to hosts already, which is the limit`,
    {hint: 'end one, or use one connection for several sessions'},
  )
