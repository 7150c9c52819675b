import {type AuditInput, closingEvents} from '../audit/index.js'
import type {AuthApi} from '../auth/contract.js'
import {asProblem, problem, type SallyportError} from '../errors/index.js'
import {isUuid} from '../names/index.js'
import {eventStep, type Stamp} from './closing.js'
import type {Conclusions} from './conclude.js'
import {HOST_LANE} from './segment-file.js'
import type {Session, Sessions} from './sessions.js'
import {isAway} from './tell.js'
import type {Step} from './types.js'

/** What a role tells. */
export type Intake = Pick<AuthApi, 'emit' | 'beginRecording' | 'appendRecording' | 'sealRecording'>

export interface IntakeOptions extends Stamp {
  sessions: Pick<Sessions, 'of' | 'keep' | 'keepSoon'>
  conclusions: Pick<Conclusions, 'recordingFailed' | 'startRefused'>
  /** Acknowledge only what auth has. */
  sync: boolean
  /** Why auth cannot be told now; undefined while it can. */
  away: () => unknown
  /** Aborted: nothing more is taken but what ends a session. */
  signal: AbortSignal
}

/** Takes what a role tells: it is on disk when it is acknowledged, and auth has it where the cluster records in sync. */
export function createIntake(options: IntakeOptions): Intake {
  const {sessions, conclusions, sync, away, signal} = options

  const requireAuth = (): void => {
    if (signal.aborted) throw problem('unavailable', 'the service is shutting down')
    const error = away()
    if (sync && error !== undefined) throw awayError(error)
  }
  const acknowledged = async ({lane, waiters}: Session, steps: number): Promise<void> => {
    if (sync && lane.told.steps < steps) await waiters.until(steps)
  }

  const emit = async (given: AuditInput): Promise<void> => {
    const {event, sid} = given
    const isClosing = closingEvents.has(event)
    if (!isClosing) requireAuth()
    const session = sessions.of(sid !== undefined && isUuid(sid) ? sid : HOST_LANE)
    if (event === 'session.start') session.isRunning = true
    if (event === 'session.end') session.isRunning = false
    const step = eventStep(given, options)
    try {
      const steps = await sessions.keep(session, step)
      if (!isClosing) await acknowledged(session, steps)
    } catch (error) {
      // Kept as soon as the disk lets it, though the caller is told that it was not.
      if (isClosing) sessions.keepSoon(session, step)
      if (event === 'session.start') conclusions.startRefused(session)
      throw error
    }
  }

  const record = async (sid: string, step: Step): Promise<void> => {
    requireAuth()
    if (!isUuid(sid)) throw problem('invalid_input', 'the session ID is no UUID')
    const session = sessions.of(sid)
    session.isRunning ||= step.kind === 'begin'
    if (session.failed) throw session.failed
    try {
      await acknowledged(session, await sessions.keep(session, step))
    } catch (thrown) {
      const error = sync && isAway(thrown) ? awayError(thrown) : asProblem(thrown)
      conclusions.recordingFailed(session, error, 'the recording could no longer be written')
      throw error
    }
  }

  return {
    emit,
    beginRecording: meta => record(meta.sid, {kind: 'begin', meta}),
    appendRecording: (sid, chunk) => record(sid, {kind: 'chunk', chunk}),
    sealRecording: (sid, end) => record(sid, {kind: 'seal', end}),
  }
}

const awayError = (cause: unknown): SallyportError =>
  problem('unavailable', `the auth service cannot be told: ${asProblem(cause, 'unavailable').message}`, {
    hint: 'try again in a moment',
    cause,
  })
