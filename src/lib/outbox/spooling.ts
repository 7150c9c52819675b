import {asProblem, type Log, problemLine} from '../errors/index.js'
import type {Budget} from './budget.js'
import type {Sessions} from './sessions.js'
import type {OutboxStatus, Step} from './types.js'

/** How often it is logged what waits while auth is away. */
const REPORT_MS = 600_000

export interface SpoolingOptions {
  sessions: Pick<Sessions, 'all' | 'unread'>
  budget: Pick<Budget, 'used'>
  /** Why auth cannot be told now; undefined while it can. */
  away: () => unknown
  /** Unix ms. */
  now: () => number
  log: Log
}

/** What waits for auth, and what is said of it: once when auth goes, when it is back, and when it has everything. */
export interface Spooling {
  status(): OutboxStatus
  /** An earlier process left something. */
  takingUp(): void
  tookUp(): void
  wentAway(error: unknown): void
  cameBack(): void
  delivered(steps: readonly Step[]): void
  /** A session has nothing more to tell for now. */
  settled(): void
  /** Resolves when auth has everything, when it is away, or after this time. */
  untilSettled(patienceMs: number): Promise<void>
  /** Says what is left, and nothing more. */
  close(): void
}

export function createSpooling({sessions, budget, away, now, log}: SpoolingOptions): Spooling {
  let spell: {since: number; events: number; recordings: number} | undefined
  let onSettled: (() => void) | undefined

  const status = (): OutboxStatus => {
    const read = sessions.all().filter(({id}) => !sessions.unread.has(id))
    const waiting = read.map(({lane: {kept, told, waitingSince}}) => ({
      events: kept.events - told.events,
      others: kept.steps - kept.events - (told.steps - told.events),
      since: waitingSince,
    }))
    const times = waiting.flatMap(({since}) => (since === undefined ? [] : [since]))
    const error = away()
    return {
      events: waiting.reduce((sum, {events}) => sum + events, 0),
      // Nobody knows yet what is in those that were not read.
      recordings: waiting.filter(({others}) => others > 0).length + sessions.unread.size,
      bytes: budget.used,
      ...(times.length > 0 && {oldest: times.reduce((a, b) => Math.min(a, b))}),
      ...(error !== undefined && {away: asProblem(error, 'unavailable').message}),
    }
  }
  const isDone = (): boolean => {
    const {events, recordings} = status()
    return events === 0 && recordings === 0
  }
  const begin = (): void => {
    spell ??= {since: now(), events: 0, recordings: 0}
  }
  const report = setInterval(() => {
    if (away() !== undefined) log.warn({...status()}, 'what is kept waits for the auth service')
  }, REPORT_MS).unref()

  return {
    status,
    takingUp: begin,
    tookUp: () => log.info(counts(status()), 'what an earlier process kept is being delivered'),
    wentAway(error) {
      begin()
      log.warn(
        {error: problemLine(asProblem(error, 'unavailable')), ...counts(status())},
        'the auth service cannot be told: events and recordings are kept until it can',
      )
      onSettled?.()
    },
    cameBack: () => log.info(counts(status()), 'the auth service is back: what was kept is being delivered'),
    delivered(steps) {
      if (!spell) return
      spell.events += steps.filter(({kind}) => kind === 'event').length
      spell.recordings += steps.filter(({kind}) => kind === 'seal').length
    },
    settled() {
      if ((!spell && !onSettled) || !isDone()) return
      onSettled?.()
      if (!spell) return
      const {since, ...delivered} = spell
      log.info({...delivered, seconds: Math.round((now() - since) / 1000)}, 'all that was kept is delivered')
      spell = undefined
    },
    async untilSettled(patienceMs) {
      let timer: NodeJS.Timeout | undefined
      await new Promise<void>(resolve => {
        if (isDone() || away() !== undefined) return resolve()
        timer = setTimeout(resolve, patienceMs)
        onSettled = resolve
      })
      clearTimeout(timer)
    },
    close() {
      clearInterval(report)
      if (!isDone())
        log.warn(counts(status()), 'what the auth service does not have yet waits for the next start')
    },
  }
}

const counts = ({events, recordings, bytes}: OutboxStatus) => ({events, recordings, bytes})
