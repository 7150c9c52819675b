import {
  findLock,
  type Identity,
  type Lock,
  type LockSubject,
  lockReason,
  type Strictness,
} from '../../access/index.js'
import type {AuthApi} from '../../auth/contract.js'
import {asProblem, problem, problemLine, type SallyportError} from '../../errors/index.js'
import type {Log} from '../types.js'
import {followState} from './follow.js'

export interface Watched {
  /** Asked at each change: what is known of a connection grows. */
  subject(): LockSubject
  /** Whether to go on when nobody can say which locks are in force. */
  strictness: Strictness
  /** Called once. */
  end(error: SallyportError): void
}

/** The locks in force, as this proxy knows them, and everything that they may come to be against. */
export interface LockWatch {
  /** @throws access_denied when a lock is against the subject; unavailable for a strict one when nobody can say */
  check(subject: LockSubject, strictness: Strictness): void
  /** Ends it as soon as a lock is against it; until the function returned is called. @throws as `check` */
  watch(watched: Watched): () => void
  close(): Promise<void>
}

export interface LockWatchOptions {
  auth: Pick<AuthApi, 'watchLocks'>
  /** As they were known last, where nobody can say which are in force now. */
  knownLocks?: readonly Lock[]
  log: Log
  /** Unix ms. */
  now: () => number
}

/** Follows the locks of the cluster. Resolves when they are known: nobody is let in before. */
export async function startLockWatch(options: LockWatchOptions): Promise<LockWatch> {
  const {auth, knownLocks, log, now} = options
  const stop = new AbortController()
  const all = new Set<Watched>()
  let locks: readonly Lock[] = knownLocks ?? []
  /** Why nobody can say which locks are in force. */
  let blind = knownLocks && nobodyKnows()
  let started = knownLocks !== undefined

  const refusal = (subject: LockSubject, strictness: Strictness): SallyportError | undefined => {
    const inForce = locks.filter(({expires}) => expires === undefined || expires > now())
    const lock = findLock(inForce, subject)
    if (lock) return problem('access_denied', lockReason(lock), {hint: 'ask an administrator'})
    return strictness === 'strict' ? blind : undefined
  }
  const lookAtAll = (): void => {
    for (const watched of all) {
      const error = refusal(watched.subject(), watched.strictness)
      if (!error) continue
      all.delete(watched)
      watched.end(error)
    }
  }
  const check: LockWatch['check'] = (subject, strictness) => {
    const error = refusal(subject, strictness)
    if (error) throw error
  }
  let following = Promise.resolve()
  await new Promise<void>((resolve, reject) => {
    following = followState({
      watch: auth.watchLocks,
      signal: stop.signal,
      onState(known) {
        locks = known
        blind = undefined
        resolve()
        lookAtAll()
      },
      onBlind(error) {
        log.warn({error: problemLine(asProblem(error))}, 'the locks in force are not known')
        blind = nobodyKnows(error)
        reject(error)
        if (started) lookAtAll()
        else stop.abort()
      },
    })
    if (started) resolve()
  })
  started = true
  return {
    check,
    watch(watched) {
      check(watched.subject(), watched.strictness)
      all.add(watched)
      return () => void all.delete(watched)
    },
    async close() {
      stop.abort()
      await following
    },
  }
}

const nobodyKnows = (cause?: unknown): SallyportError =>
  problem('unavailable', 'nobody can say which locks are in force', {hint: 'try again in a moment', cause})

/** What a connection to the proxy itself can be locked by: who it is. */
export const personOf = ({user, roles}: Identity): LockSubject => ({user, roles, logins: [], nodes: []})
