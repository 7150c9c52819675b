import type {Retries} from '../durable/index.js'
import {type Log, problem, type SallyportError} from '../errors/index.js'
import {closingSteps, eventStep, type Stamp} from './closing.js'
import {HOST_LANE} from './segment-file.js'
import type {Session, Sessions} from './sessions.js'
import type {Damage} from './types.js'

const SPOOL_DAMAGED = 'what was kept of it for the auth service is damaged'

export interface ConclusionsOptions extends Stamp {
  sessions: Pick<Sessions, 'keep' | 'keepSoon'>
  retries: Retries
  log: Log
}

/** Gives sessions and recordings that nobody goes on with their end, so that auth does not wait for it. */
export interface Conclusions {
  /** The session is over. Rejects where the disk does not take its end. */
  conclude(session: Session, reason: string): Promise<void>
  /** The same, as soon as the disk lets it: the caller lets nobody in. */
  startRefused(session: Session): void
  /** The recording takes no more; the session goes on where it runs. */
  recordingFailed(session: Session, error: SallyportError, reason: string): void
  /** Files of it are not what was written. */
  damaged(session: Session, damage: readonly Damage[]): void
}

export function createConclusions(options: ConclusionsOptions): Conclusions {
  const {sessions, retries, log, now, uuid} = options

  const giveWhatLacks = async (session: Session, reason: string, sessionOver: boolean): Promise<void> => {
    await session.lane.ready()
    const isLost = session.isDamaged
    const why = isLost ? SPOOL_DAMAGED : reason
    const lacking = closingSteps(session.lane.state, {reason: why, sessionOver, isLost, now, uuid})
    for (const step of lacking) await sessions.keep(session, step)
  }
  const conclude = (session: Session, reason: string, sessionOver = true): Promise<void> =>
    session.concluding(() => giveWhatLacks(session, reason, sessionOver))
  const concludeSoon = (session: Session, reason: string, sessionOver = true): void =>
    void retries.add(() => conclude(session, reason, sessionOver))

  const recordingFailed = (session: Session, error: SallyportError, reason: string): void => {
    if (session.failed) return
    session.failed = error
    concludeSoon(session, reason, !session.isRunning)
  }

  return {
    conclude: (session, reason) => conclude(session, reason),
    startRefused(session) {
      session.isRunning = false
      concludeSoon(session, 'its start could not be put on record')
    },
    recordingFailed,
    damaged(session, damage) {
      session.isDamaged = true
      for (const {lane, file, good, bytes, reason} of damage) {
        log.error({file, good, bytes, reason}, 'what was kept for the auth service is damaged')
        const about = lane === HOST_LANE ? {} : {sid: lane}
        const fields = {kept: file, good, bytes}
        const input = {event: 'spool.damaged', success: false, error: reason, ...about, fields} as const
        sessions.keepSoon(session, eventStep(input, {now, uuid}))
      }
      if (session.id === HOST_LANE) return
      const error = problem('store_failed', `the recording cannot go on: ${SPOOL_DAMAGED}`)
      if (session.isRunning) recordingFailed(session, error, SPOOL_DAMAGED)
      else concludeSoon(session, SPOOL_DAMAGED)
    },
  }
}
