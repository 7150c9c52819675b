import type {AuthApi} from '../auth/contract.js'
import {asProblem, type ErrorCode, problem, SallyportError} from '../errors/index.js'
import type {SpooledEvent, Step} from './types.js'

/** What the outbox tells the auth service by. */
export interface OutboxAuth
  extends Pick<AuthApi, 'emit' | 'emitAll' | 'beginRecording' | 'appendRecording' | 'sealRecording'> {
  /** Throws where auth is away, and where it refuses this machine whatever it says. */
  ping(): Promise<unknown>
}

/** A call that takes longer is taken for lost; a chunk of 8 MiB passes a slow line in less. */
const CALL_MS = 60_000

/** Answers that would be the same the next time. */
const refusals: ReadonlySet<ErrorCode> = new Set([
  'access_denied',
  'invalid_input',
  'already_exists',
  'not_found',
  'recording_corrupt',
  'limit_exceeded',
])

export const isRefusal = (error: unknown): boolean =>
  error instanceof SallyportError && refusals.has(error.code)

/** What may be different for other steps at the same time. */
const ofTheStep: ReadonlySet<ErrorCode> = new Set(['internal', 'failure'])

/** Whether nothing at all can be told now: no connection, or no disk on the other side. */
export const isAway = (error: unknown): boolean =>
  error instanceof SallyportError && !isRefusal(error) && !ofTheStep.has(error.code)

/** Tells one step of a recording. @throws access_denied for this step alone, as any refusal */
export async function tellRecording(auth: OutboxAuth, sid: string, step: Exclude<Step, {kind: 'event'}>) {
  switch (step.kind) {
    case 'begin':
      return await call(auth, () => auth.beginRecording(step.meta))
    case 'chunk':
      return await call(auth, () => auth.appendRecording(sid, step.chunk))
    case 'seal':
      return await call(auth, () => auth.sealRecording(sid, step.end))
  }
}

/**
 * Tells events in their order. One that is refused is reported and left out: what follows does not wait for it.
 */
export async function tellEvents(
  auth: OutboxAuth,
  inputs: readonly SpooledEvent[],
  onRefused: (input: SpooledEvent, error: SallyportError) => void,
): Promise<void> {
  try {
    const [only, ...others] = inputs
    if (only && others.length === 0) await call(auth, () => auth.emit(only))
    else await call(auth, () => auth.emitAll(inputs))
  } catch (error) {
    if (!isRefusal(error)) throw error
    const [only, ...others] = inputs
    if (only && others.length === 0) return onRefused(only, asProblem(error))
    for (const input of inputs) await tellEvents(auth, [input], onRefused)
  }
}

/**
 * A machine that is locked is refused everything, and tells it when it no longer is. What is refused to one that is not
 * is refused for good: an event, say, that an auth service of an older version does not know.
 * @throws unavailable where auth refuses the machine
 */
async function call(auth: OutboxAuth, tell: () => Promise<unknown>): Promise<void> {
  try {
    await inTime(tell())
  } catch (error) {
    if (asProblem(error).code !== 'access_denied') throw error
    await inTime(auth.ping()).catch(cause => {
      throw problem('unavailable', asProblem(cause).message, {cause})
    })
    throw error
  }
}

async function inTime(call: Promise<unknown>): Promise<void> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(problem('timeout', 'the auth service does not answer')), CALL_MS).unref()
  })
  try {
    await Promise.race([call, late])
  } finally {
    clearTimeout(timer)
  }
}
