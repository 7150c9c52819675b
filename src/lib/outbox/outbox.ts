import {randomUUID} from 'node:crypto'
import {type AuditInput, closingEvents} from '../audit/index.js'
import type {AuthApi} from '../auth/contract.js'
import {createRetries, systemErrorWords} from '../durable/index.js'
import {asProblem, problem, problemLine, type SallyportError} from '../errors/index.js'
import {createBudget} from './budget.js'
import {closingSteps, dated} from './closing.js'
import {createDelivery} from './delivery.js'
import {type Lane, openLane} from './lane.js'
import {HOST_LANE, listLanes} from './segment-file.js'
import {isAway, isRefusal, type OutboxAuth, tellEvents, tellRecording} from './tell.js'
import type {Damage, Log, OutboxStatus, Step} from './types.js'

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
export interface Outbox
  extends Pick<AuthApi, 'emit' | 'beginRecording' | 'appendRecording' | 'sealRecording'> {
  status(): OutboxStatus
  /** There is reason to think that auth is back. */
  wake(): void
  /** Takes no more; delivers for at most so long, and at once leaves the rest to the next process while auth is away. */
  close(patienceMs: number): Promise<void>
}

/** How often it is logged what waits while auth is away. */
const REPORT_MS = 600_000
/** A minute or two, with the pauses between them. */
const MOST_READS = 10
const SERVICE_ENDED = 'the service ended before the session did'
const NOT_WRITTEN = 'the recording could no longer be written'
const SPOOL_DAMAGED = 'what was kept of it for the auth service is damaged'

interface Waiter {
  steps: number
  resolve: () => void
  reject: (error: unknown) => void
}

/** One session, or what belongs to none. */
interface Session {
  id: string
  lane: Lane
  /** Of this process, and not over yet. */
  isRunning: boolean
  /** Some of it was damaged. */
  isDamaged: boolean
  /** Why its recording takes no more. */
  failed?: SallyportError
  /** How often in a row the disk did not give what it has of it. */
  unreadable: number
  /** Auth does not take the recording, so that the rest of it need not be told. */
  isRefused: boolean
  waiters: Waiter[]
  concluding: Promise<void>
}

/** Opens the outbox, and begins to deliver what an earlier process left. @throws store_failed */
export async function createOutbox(options: OutboxOptions): Promise<Outbox> {
  const {directory, auth, capBytes, sync, now, log, uuid = randomUUID, random = Math.random} = options
  const {firstMs, longestMs} = options.retry ?? {firstMs: 250, longestMs: 30_000}
  const left = await listLanes(directory).catch(cause => {
    throw problem('store_failed', 'the directory for what waits for the auth service cannot be used', {cause})
  })
  const unread = new Set(left.keys())
  const budget = createBudget(capBytes)
  const sessions = new Map<string, Session>()
  let closed = false
  let spooling: {since: number; events: number; recordings: number} | undefined
  let onSettled = (): void => undefined

  const retries = createRetries({
    firstMs,
    longestMs,
    onProblem: error => log.warn({error: problemLine(asProblem(error))}, 'will be tried again'),
  })

  const sessionOf = (id: string): Session => {
    const known = sessions.get(id)
    if (known) return known
    const lane = openLane({
      ...{directory, id, budget, now},
      segments: left.get(id) ?? [],
      onDamage: damage => damaged(session, damage),
    })
    left.delete(id)
    const session: Session = {
      ...{id, lane, isRunning: false, isDamaged: false, isRefused: false, unreadable: 0, waiters: []},
      concluding: Promise.resolve(),
    }
    sessions.set(id, session)
    return session
  }

  const keep = async (session: Session, step: Step): Promise<number> => {
    const steps = await session.lane.append(step)
    delivery.add(session.id)
    return steps
  }

  /** Gives a session what it lacks: one caller at a time, or two would give it the same. */
  const conclude = (session: Session, reason: string, sessionOver: boolean): Promise<void> => {
    const mine = session.concluding.then(() => giveWhatLacks(session, reason, sessionOver))
    session.concluding = mine.catch(() => undefined)
    return mine
  }
  const giveWhatLacks = async (session: Session, reason: string, sessionOver: boolean): Promise<void> => {
    await session.lane.ready()
    const isLost = session.isDamaged
    const why = isLost ? SPOOL_DAMAGED : reason
    const lacking = closingSteps(session.lane.state, {reason: why, sessionOver, isLost, now, uuid})
    for (const step of lacking) await keep(session, step)
  }
  /** The same, as soon as the disk lets it. */
  const close = (session: Session, reason: string, sessionOver: boolean): Promise<void> =>
    retries.add(() => conclude(session, reason, sessionOver))

  const recordingFailed = (session: Session, error: SallyportError, reason: string): void => {
    if (session.failed) return
    session.failed = error
    void close(session, reason, !session.isRunning)
  }

  const damaged = (session: Session, damage: Damage[]): void => {
    session.isDamaged = true
    for (const {lane, file, good, bytes, reason} of damage) {
      log.error({file, good, bytes, reason}, 'what was kept for the auth service is damaged')
      const about = lane === HOST_LANE ? {} : {sid: lane}
      const fields = {kept: file, good, bytes}
      const input = {event: 'spool.damaged', success: false, error: reason, ...about, fields} as const
      const step = {kind: 'event', input: dated(input, {now, uuid})} as const
      void retries.add(async () => void (await keep(session, step)))
    }
    if (session.id === HOST_LANE) return
    const error = problem('store_failed', `the recording cannot go on: ${SPOOL_DAMAGED}`)
    if (session.isRunning) recordingFailed(session, error, SPOOL_DAMAGED)
    else void close(session, SPOOL_DAMAGED, true)
  }

  /** In the modes that record in sync, waits until auth has it. */
  const acknowledged = async (session: Session, steps: number): Promise<void> => {
    if (!sync || session.lane.told.steps >= steps) return
    await new Promise<void>((resolve, reject) => session.waiters.push({steps, resolve, reject}))
  }
  const requireAuth = (): void => {
    if (closed) throw problem('unavailable', 'the service is shutting down')
    if (sync && delivery.away !== undefined) throw awayError(delivery.away)
  }

  const tell = async (session: Session, steps: readonly Step[]): Promise<void> => {
    const [first] = steps
    if (first === undefined || first.kind === 'event') {
      const inputs = steps.flatMap(step => (step.kind === 'event' ? [step.input] : []))
      return await tellEvents(auth, inputs, ({event, uid, sid}, error) =>
        log.error(
          {event, uid, sid, error: problemLine(error)},
          'the auth service does not take an audit event',
        ),
      )
    }
    if (session.isRefused && first.kind !== 'seal') return
    try {
      await tellRecording(auth, session.id, session.isRefused ? cutShort(first) : first)
    } catch (error) {
      if (!isRefusal(error)) throw error
      // Auth had nothing of what was lost here.
      if (first.kind === 'seal' && !session.lane.state.meta && asProblem(error).code === 'not_found') return
      refused(session, first, asProblem(error))
    }
  }

  const refused = (session: Session, step: Step, error: SallyportError): void => {
    log.error(
      {sid: session.id, step: step.kind, error: problemLine(error)},
      'the auth service does not take a recording',
    )
    if (session.isRefused) return
    session.isRefused = true
    const reason = `the auth service does not take it: ${error.message}`
    recordingFailed(session, problem('store_failed', reason, {cause: error}), reason)
    const input = {event: 'session.recording.failed', success: false, sid: session.id, error: reason} as const
    if (session.isRunning && step.kind !== 'seal') return
    const failure = {kind: 'event', input: dated(input, {now, uuid})} as const
    void retries.add(async () => void (await keep(session, failure)))
  }

  /** Whatever the disk does not give after so many attempts is set aside. @throws what it says until then */
  const reading = async <T>(session: Session, read: () => Promise<T>): Promise<T> => {
    try {
      const found = await read()
      session.unreadable = 0
      return found
    } catch (error) {
      if (isOfTheProcess(error)) throw error
      const fields = {lane: session.id, error: systemErrorWords(error)}
      if (session.unreadable === 0) log.warn(fields, 'what was kept for the auth service cannot be read')
      if (++session.unreadable < MOST_READS) throw error
      await session.lane.salvage()
      session.unreadable = 0
      return await read()
    }
  }

  const attempt = async (id: string): Promise<boolean | 'later'> => {
    const session = sessions.get(id)
    if (!session) return false
    const batch = await reading(session, session.lane.next).catch(() => 'later' as const)
    if (batch === 'later') return batch
    if (!batch) {
      await session.lane.tidy()
      settled(session)
      return false
    }
    try {
      await tell(session, batch.steps)
    } catch (error) {
      for (const {reject} of session.waiters.splice(0)) reject(error)
      throw error
    }
    await session.lane.delivered(batch)
    if (spooling) {
      spooling.events += batch.steps.filter(({kind}) => kind === 'event').length
      spooling.recordings += batch.steps.filter(({kind}) => kind === 'seal').length
    }
    const told = session.lane.told.steps
    const waiters = session.waiters.splice(0)
    for (const waiter of waiters) {
      if (waiter.steps <= told) waiter.resolve()
      else session.waiters.push(waiter)
    }
    if (session.lane.kept.steps > told) return true
    settled(session)
    return false
  }

  const settled = (session: Session): void => {
    if (session.lane.isGone && !session.isRunning) sessions.delete(session.id)
    if (!spooling && !closed) return
    const {events, recordings} = status()
    if (events > 0 || recordings > 0) return
    onSettled()
    if (!spooling) return
    const {since, ...delivered} = spooling
    log.info({...delivered, seconds: Math.round((now() - since) / 1000)}, 'all that was kept is delivered')
    spooling = undefined
  }

  const delivery = createDelivery({
    ...{attempt, isAway, random, firstMs, longestMs},
    now: () => performance.now(),
    onAway(error) {
      spooling ??= {since: now(), events: 0, recordings: 0}
      log.warn(
        {error: problemLine(asProblem(error, 'unavailable')), ...counts(status())},
        'the auth service cannot be told: events and recordings are kept until it can',
      )
      onSettled()
    },
    onBack: () => log.info(counts(status()), 'the auth service is back: what was kept is being delivered'),
  })

  const status = (): OutboxStatus => {
    const read = [...sessions.values()].filter(({id}) => !unread.has(id))
    const waiting = read.map(({lane: {kept, told, waitingSince}}) => ({
      events: kept.events - told.events,
      others: kept.steps - kept.events - (told.steps - told.events),
      since: waitingSince,
    }))
    const times = waiting.flatMap(({since}) => (since === undefined ? [] : [since]))
    return {
      events: waiting.reduce((sum, {events}) => sum + events, 0),
      // Nobody knows yet what is in those that were not read.
      recordings: waiting.filter(({others}) => others > 0).length + unread.size,
      bytes: budget.used,
      ...(times.length > 0 && {oldest: times.reduce((a, b) => Math.min(a, b))}),
      ...(delivery.away !== undefined && {away: asProblem(delivery.away, 'unavailable').message}),
    }
  }

  const takeUpLane = async (id: string): Promise<void> => {
    const session = sessionOf(id)
    await reading(session, session.lane.ready)
    if (id !== HOST_LANE && !session.isRunning) await conclude(session, SERVICE_ENDED, true)
    unread.delete(id)
    delivery.add(id)
  }
  /** Sessions of an earlier process are over: they get their end, and are delivered. */
  const takeUp = async (): Promise<void> => {
    const ids = [...left.keys()]
    if (ids.length === 0) return
    spooling = {since: now(), events: 0, recordings: 0}
    for (const id of ids) {
      if (closed) return
      // One that cannot be read now holds none of the others up.
      await takeUpLane(id).catch(() => void retries.add(() => takeUpLane(id)))
    }
    log.info(counts(status()), 'what an earlier process kept is being delivered')
  }

  const emit = async (given: AuditInput): Promise<void> => {
    const {sid} = given
    const isClosing = closingEvents.has(given.event)
    if (!isClosing) requireAuth()
    const session = sessionOf(sid !== undefined && uuidPattern.test(sid) ? sid : HOST_LANE)
    if (given.event === 'session.start') session.isRunning = true
    if (given.event === 'session.end') session.isRunning = false
    const step: Step = {kind: 'event', input: dated(given, {now, uuid})}
    try {
      const steps = await keep(session, step)
      if (!isClosing) await acknowledged(session, steps)
    } catch (error) {
      // Kept as soon as the disk lets it, though the caller is told that it was not.
      if (isClosing) void retries.add(async () => void (await keep(session, step)))
      if (given.event === 'session.start') sessionRefused(session)
      throw error
    }
  }

  /** The caller lets nobody in: what was kept of the session gets its end. */
  const sessionRefused = (session: Session): void => {
    session.isRunning = false
    void close(session, 'its start could not be put on record', true)
  }

  const record = async (sid: string, step: Step): Promise<void> => {
    requireAuth()
    if (!uuidPattern.test(sid)) throw problem('invalid_input', 'the session ID is no UUID')
    const session = sessionOf(sid)
    session.isRunning ||= step.kind === 'begin'
    if (session.failed) throw session.failed
    try {
      await acknowledged(session, await keep(session, step))
    } catch (thrown) {
      const error = sync && isAway(thrown) ? awayError(thrown) : asProblem(thrown)
      recordingFailed(session, error, NOT_WRITTEN)
      throw error
    }
  }

  const takingUp = takeUp()
  const report = setInterval(() => {
    if (delivery.away !== undefined) log.warn({...status()}, 'what is kept waits for the auth service')
  }, REPORT_MS).unref()

  return {
    emit,
    beginRecording: meta => record(meta.sid, {kind: 'begin', meta}),
    appendRecording: (sid, chunk) => record(sid, {kind: 'chunk', chunk}),
    sealRecording: (sid, end) => record(sid, {kind: 'seal', end}),
    status,
    wake: delivery.wake,
    async close(patienceMs) {
      closed = true
      clearInterval(report)
      await takingUp
      await Promise.all([...sessions.values()].map(({lane}) => lane.idle()))
      await untilSettled(patienceMs)
      await retries.close()
      await delivery.close()
      const {events, recordings, bytes} = status()
      if (events > 0 || recordings > 0)
        log.warn(
          {events, recordings, bytes},
          'what the auth service does not have yet waits for the next start',
        )
    },
  }

  async function untilSettled(patienceMs: number): Promise<void> {
    let timer: NodeJS.Timeout | undefined
    await new Promise<void>(resolve => {
      const {events, recordings} = status()
      if ((events === 0 && recordings === 0) || delivery.away !== undefined) return resolve()
      timer = setTimeout(resolve, patienceMs)
      onSettled = resolve
    })
    clearTimeout(timer)
  }
}

/** What passes by itself, and is no fault of a file. */
const isOfTheProcess = (error: unknown): boolean =>
  ['EMFILE', 'ENFILE', 'ENOMEM', 'EAGAIN'].includes(String((error as NodeJS.ErrnoException).code))

const uuidPattern = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/

const counts = ({events, recordings, bytes}: OutboxStatus) => ({events, recordings, bytes})

const awayError = (cause: unknown): SallyportError =>
  problem('unavailable', `the auth service cannot be told: ${asProblem(cause, 'unavailable').message}`, {
    hint: 'try again in a moment',
    cause,
  })

/** An end that closes what auth has of the recording. */
const cutShort = (step: Exclude<Step, {kind: 'event'}>): Exclude<Step, {kind: 'event'}> =>
  step.kind === 'seal'
    ? {
        kind: 'seal',
        end: {...step.end, truncated: step.end.truncated ?? 'the auth service did not take all of it'},
      }
    : step
