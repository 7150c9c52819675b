import {setTimeout as sleep} from 'node:timers/promises'
import {asProblem, type Log, problem, problemLine, type SallyportError} from '../../errors/index.js'
import {HOUR_MS} from '../../names/index.js'
import type {AccessState} from '../access/state.js'
import type {ClusterState} from '../contract.js'
import type {SystemApi} from '../system-api.js'
import {accessStateOf} from './state.js'

/**
 * How long a role goes on by what it knew of the cluster when it lost the auth service: the default lifetime of a
 * certificate, so that nobody gets in by a state that is older than what he shows.
 */
export const blindMilliseconds = 12 * HOUR_MS
const firstPauseMilliseconds = 500
const maxPauseMilliseconds = 10_000

export interface FollowerOptions {
  api: Pick<SystemApi, 'watchCluster'>
  /** What a process before this one was told last, and how many ms ago: enough to begin with. */
  known?: {state: ClusterState; age: number}
  /** Called with each state. */
  onState?: (state: ClusterState) => void
  log: Pick<Log, 'info' | 'warn'>
  /** Unix ms. */
  now: () => number
  /** Milliseconds that no setting of the clock changes; only differences count. */
  monotonic?: () => number
}

/** What is known of the cluster. */
export interface ClusterFollower {
  /** As it was known last, however long ago. */
  state(): ClusterState
  /** Whether the auth service says at once what changes. */
  isInTouch(): boolean
  /** How old the state is in ms, whatever is done to the clock: 0 in touch. */
  age(): number
  /**
   * What decisions are made from while it is away.
   * @throws unavailable when it has been for too long; access_denied when it is not away, and refuses this machine
   */
  accessState(): AccessState
  close(): Promise<void>
}

/** Follows the state of the cluster. Resolves when it is known. @throws what keeps it from being known at first */
export async function followCluster(options: FollowerOptions): Promise<ClusterFollower> {
  const {api, onState, log, now, monotonic = () => performance.now()} = options
  const stop = new AbortController()
  let known = options.known && {state: options.known.state, access: accessStateOf(options.known.state, now)}
  let inTouch = false
  let refusal: SallyportError | undefined
  const heardAgo = (age: number) => ({wall: now() - age, monotonic: monotonic() - age})
  let heard = heardAgo(options.known?.age ?? 0)
  const age = (): number =>
    inTouch ? 0 : Math.max(Math.abs(now() - heard.wall), monotonic() - heard.monotonic)

  const follow = async (onKnown: () => void): Promise<void> => {
    for await (const state of await api.watchCluster({signal: stop.signal})) {
      known = {state, access: accessStateOf(state, now)}
      inTouch = true
      refusal = undefined
      onState?.(state)
      onKnown()
    }
    throw problem('unavailable', 'the auth service says no more about the cluster')
  }
  const followForEver = async (first: () => void, failed: (error: unknown) => void): Promise<void> => {
    let pause = firstPauseMilliseconds
    while (!stop.signal.aborted) {
      const error = await follow(() => {
        if (pause > firstPauseMilliseconds) log.info({}, 'the auth service is there again')
        pause = firstPauseMilliseconds
        first()
      }).catch((thrown: unknown) => thrown)
      if (stop.signal.aborted) return
      if (inTouch) heard = heardAgo(0)
      inTouch = false
      const why = asProblem(error)
      refusal = why.code === 'access_denied' ? why : undefined
      failed(error)
      const words = refusal ? 'the auth service refuses this machine' : 'the auth service is away'
      log.warn({error: problemLine(why), known_seconds: Math.round(age() / 1000)}, words)
      await sleep(pause, undefined, {signal: stop.signal}).catch(() => undefined)
      pause = Math.min(pause * 2, maxPauseMilliseconds)
    }
  }

  let following = Promise.resolve()
  await new Promise<void>((resolve, reject) => {
    following = followForEver(resolve, error => {
      if (known) return
      stop.abort()
      reject(error)
    })
    if (known) resolve()
  })
  const current = () => {
    if (!known) throw problem('internal', 'nothing is known of the cluster')
    return known
  }
  return {
    state: () => current().state,
    isInTouch: () => inTouch,
    age,
    accessState() {
      if (refusal) throw refusal
      if (age() < blindMilliseconds) return current().access
      throw problem('unavailable', 'the auth service has been away for too long to go on without it', {
        hint: 'ask an administrator to bring it back',
      })
    },
    async close() {
      stop.abort()
      await following
    },
  }
}
