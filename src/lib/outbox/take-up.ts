import type {Retries} from '../durable/index.js'
import type {Log} from '../errors/index.js'
import type {Conclusions} from './conclude.js'
import {reading} from './reading.js'
import {HOST_LANE} from './segment-file.js'
import type {Sessions} from './sessions.js'
import type {Spooling} from './spooling.js'

export interface TakeUpOptions {
  sessions: Pick<Sessions, 'of' | 'unread'>
  conclusions: Pick<Conclusions, 'conclude'>
  spooling: Pick<Spooling, 'takingUp' | 'tookUp'>
  retries: Retries
  /** The session has something to tell. */
  onKept(id: string): void
  /** Aborted: what was not taken up waits for the next process. */
  signal: AbortSignal
  log: Log
}

/** Sessions of an earlier process are over: they get their end, and are delivered. */
export async function takeUp(options: TakeUpOptions): Promise<void> {
  const {sessions, spooling, retries, signal} = options
  const ids = [...sessions.unread]
  if (ids.length === 0) return
  spooling.takingUp()
  for (const id of ids) {
    if (signal.aborted) return
    // One that cannot be read now holds none of the others up.
    await takeUpLane(id, options).catch(() => void retries.add(() => takeUpLane(id, options)))
  }
  spooling.tookUp()
}

async function takeUpLane(id: string, {sessions, conclusions, onKept, log}: TakeUpOptions): Promise<void> {
  const session = sessions.of(id)
  await reading(session, log, session.lane.ready)
  if (id !== HOST_LANE && !session.isRunning)
    await conclusions.conclude(session, 'the service ended before the session did')
  sessions.unread.delete(id)
  onKept(id)
}
