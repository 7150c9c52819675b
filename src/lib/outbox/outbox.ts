import {randomUUID} from 'node:crypto'
import {createRetries, type Retries} from '../durable/index.js'
import {asProblem, type Log, problem, problemLine} from '../errors/index.js'
import {attempt} from './attempts.js'
import {createBudget} from './budget.js'
import type {Stamp} from './closing.js'
import {createConclusions} from './conclude.js'
import {createDelivery} from './delivery.js'
import {createIntake, type Intake} from './intake.js'
import {listLanes} from './segment-file.js'
import {createSessions} from './sessions.js'
import {createSpooling} from './spooling.js'
import {takeUp} from './take-up.js'
import {isAway, type OutboxAuth} from './tell.js'
import type {OutboxStatus} from './types.js'

export interface OutboxOptions {
  directory: string
  auth: OutboxAuth
  /** Bytes that recordings may take here; events have a little more. */
  capBytes: number
  /** Acknowledge only what auth has: the cluster records in `proxy-sync` or `node-sync`. */
  sync: boolean
  /** Unix ms. */
  now: () => number
  log: Log
  uuid?: () => string
  /** 0 to 1, for the pauses between attempts. */
  random?: () => number
  /** Pause after an attempt that failed; doubled up to `longestMs`. */
  retry?: {firstMs: number; longestMs: number}
}

/**
 * Stands between a role and an auth service that may be away. What it is told is on disk when it says so; it reaches
 * auth once, in its order within a session, whatever becomes of either process.
 */
export interface Outbox extends Intake {
  status(): OutboxStatus
  /** There is reason to think that auth is back. */
  wake(): void
  /** Takes no more; delivers for at most so long, and at once leaves the rest to the next process while auth is away. */
  close(patienceMs: number): Promise<void>
}

/** Opens the outbox, and begins to deliver what an earlier process left. @throws store_failed */
export async function createOutbox(options: OutboxOptions): Promise<Outbox> {
  const {directory, log, retry = {firstMs: 250, longestMs: 30_000}} = options
  const left = await listLanes(directory).catch(cause => {
    throw problem('store_failed', 'the directory for what waits for the auth service cannot be used', {cause})
  })
  const retries = createRetries({
    ...retry,
    onProblem: error => log.warn({error: problemLine(asProblem(error))}, 'will be tried again'),
  })
  const ending = new AbortController()
  const {sessions, delivery, spooling, takingUp, intake} = assemble(options, {
    ...{left, retries, retry, signal: ending.signal},
  })
  return {
    ...intake,
    status: spooling.status,
    wake: delivery.wake,
    async close(patienceMs) {
      ending.abort()
      await takingUp
      await Promise.all(sessions.all().map(({lane}) => lane.idle()))
      await spooling.untilSettled(patienceMs)
      await retries.close()
      await delivery.close()
      spooling.close()
    },
  }
}

interface Beginning {
  left: ReadonlyMap<string, readonly number[]>
  retries: Retries
  retry: NonNullable<OutboxOptions['retry']>
  signal: AbortSignal
}

/** What is kept is delivered, what is delivered changes what is kept: so they know of each other. */
function assemble(options: OutboxOptions, {left, retries, retry, signal}: Beginning) {
  const {directory, auth, capBytes, sync, now, log, uuid = randomUUID, random = Math.random} = options
  const stamp: Stamp = {now, uuid}
  const budget = createBudget(capBytes)
  const away = (): unknown => delivery.away
  const onKept = (id: string): void => delivery.add(id)
  const sessions = createSessions({
    ...{directory, budget, now, left, retries, onKept},
    onDamage: (session, damage) => conclusions.damaged(session, damage),
  })
  const conclusions = createConclusions({sessions, retries, log, ...stamp})
  const spooling = createSpooling({sessions, budget, away, now, log})
  const delivery = createDelivery({
    attempt: id => attempt(id, {auth, sessions, conclusions, spooling, log, ...stamp}),
    ...{isAway, random, ...retry},
    now: () => performance.now(),
    onAway: spooling.wentAway,
    onBack: spooling.cameBack,
  })
  const takingUp = takeUp({sessions, conclusions, spooling, retries, onKept, signal, log})
  const intake = createIntake({sessions, conclusions, sync, away, signal, ...stamp})
  return {sessions, delivery, spooling, takingUp, intake}
}
