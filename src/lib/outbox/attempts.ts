import {asProblem, type Log, problem, problemLine, type SallyportError} from '../errors/index.js'
import {eventStep, type Stamp} from './closing.js'
import type {Conclusions} from './conclude.js'
import type {Attempted} from './delivery.js'
import {reading} from './reading.js'
import type {Session, Sessions} from './sessions.js'
import type {Spooling} from './spooling.js'
import {isRefusal, type OutboxAuth, tellEvents, tellRecording} from './tell.js'
import type {Step} from './types.js'

export interface AttemptOptions extends Stamp {
  auth: OutboxAuth
  sessions: Pick<Sessions, 'find' | 'forget' | 'keepSoon'>
  conclusions: Pick<Conclusions, 'recordingFailed'>
  spooling: Pick<Spooling, 'delivered' | 'settled'>
  log: Log
}

/** Tells auth the next steps of a session; `later` where its files cannot be read now. @throws what auth says, unless it refuses */
export async function attempt(id: string, options: AttemptOptions): Promise<Attempted> {
  const {sessions, spooling, log} = options
  const session = sessions.find(id)
  if (!session) return 'nothing'
  const {lane, waiters} = session
  const settled = (): void => {
    sessions.forget(session)
    spooling.settled()
  }
  const batch = await reading(session, log, lane.next).catch(() => 'later' as const)
  if (batch === 'later') return batch
  if (!batch) {
    await lane.tidy()
    settled()
    return 'nothing'
  }
  try {
    await tell(session, batch.steps, options)
  } catch (error) {
    waiters.fail(error)
    throw error
  }
  await lane.delivered(batch)
  spooling.delivered(batch.steps)
  waiters.reached(lane.told.steps)
  if (lane.kept.steps > lane.told.steps) return 'more'
  settled()
  return 'done'
}

/** Whatever auth refuses is left out: what follows does not wait for it. */
async function tell(session: Session, steps: readonly Step[], options: AttemptOptions): Promise<void> {
  const {auth, log} = options
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
    await tellRecording(auth, session.id, session.isRefused ? cutOff(first) : first)
  } catch (error) {
    if (!isRefusal(error)) throw error
    // Auth had nothing of what was lost here.
    if (first.kind === 'seal' && !session.lane.state.meta && asProblem(error).code === 'not_found') return
    refused(session, first, asProblem(error), options)
  }
}

/** Ends a recording that auth does not take, on record as well. */
function refused(session: Session, step: Step, error: SallyportError, options: AttemptOptions): void {
  const {sessions, conclusions, log} = options
  log.error(
    {sid: session.id, step: step.kind, error: problemLine(error)},
    'the auth service does not take a recording',
  )
  if (session.isRefused) return
  session.isRefused = true
  const reason = `the auth service does not take it: ${error.message}`
  conclusions.recordingFailed(session, problem('store_failed', reason, {cause: error}), reason)
  // Who serves the session learns of it with the next step, and puts it on record.
  if (session.isRunning && step.kind !== 'seal') return
  const input = {event: 'session.recording.failed', success: false, sid: session.id, error: reason} as const
  sessions.keepSoon(session, eventStep(input, options))
}

/** An end that closes what auth has of the recording. */
const cutOff = (step: Exclude<Step, {kind: 'event'}>): Exclude<Step, {kind: 'event'}> =>
  step.kind === 'seal'
    ? {
        kind: 'seal',
        end: {...step.end, truncated: step.end.truncated ?? 'the auth service did not take all of it'},
      }
    : step
