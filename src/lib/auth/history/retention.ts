import type {AuditInput, AuditLog} from '../../audit/index.js'
import {asProblem, type Log, problemLine} from '../../errors/index.js'
import {HOUR_MS} from '../../names/index.js'
import type {AnnounceRemoval, RecordingStore} from '../../recording/index.js'
import {cancelledDeletionEvent, deletionEvent} from './deletion-event.js'

export interface RetentionOptions {
  audit: {emit(input: AuditInput): Promise<unknown>} & Pick<AuditLog, 'prune'>
  recordings: Pick<RecordingStore, 'prune' | 'finishRemovals'>
  /** Recordings whose session ended so long ago are removed; 0: none ever. */
  keepMilliseconds: number
  /** Files of the audit log whose events came so long ago are removed; 0: none ever. */
  auditMilliseconds: number
  /** Signs where the chain of the audit log goes on from: `signAuditStatement`. */
  sign: (message: Buffer) => string
  /** Unix ms. */
  now: () => number
  log: Pick<Log, 'info' | 'warn'>
}

/** Removes what is older than the cluster keeps, recordings and files of the audit log, in the background. */
export interface Retention {
  /** Goes on with removals that were cut off, then prunes, at once and every hour. Resolves after the first time. */
  start(): Promise<void>
  close(): Promise<void>
}

const EVERY_MS = HOUR_MS
/** Where more is due than one sweep may take away, the next one comes soon. */
const SOON_MS = 10_000
const MOST_AT_ONCE = 500

export function createRetention(options: RetentionOptions): Retention {
  const {audit, recordings, keepMilliseconds, auditMilliseconds, sign, now, log} = options
  let closed = false
  let timer: NodeJS.Timeout | undefined
  let sweeping: Promise<void> = Promise.resolve()

  const announce: AnnounceRemoval = (tombstone, uid) => audit.emit(deletionEvent(tombstone, uid))

  const prune = async (): Promise<number> => {
    const at = now()
    return await recordings.prune({
      before: at - keepMilliseconds,
      most: MOST_AT_ONCE,
      goOn: () => !closed,
      onProblem: (sid, error) =>
        log.warn({sid, error: problemLine(asProblem(error))}, 'an old recording could not be removed'),
      request: {
        ...{at, by: 'retention', cause: 'retention'},
        announce,
      },
    })
  }

  const finish = async (): Promise<void> => {
    const finished = await recordings.finishRemovals({
      announce,
      cancel: (sid, reason, uid) => audit.emit(cancelledDeletionEvent(sid, reason, uid)),
      onProblem: (sid, error) =>
        log.warn({sid, error: problemLine(asProblem(error))}, 'a removal could not be finished'),
    })
    if (finished > 0) log.info({finished}, 'removals that had been cut off were finished')
  }

  const pruneAudit = (): Promise<number> => audit.prune({before: now() - auditMilliseconds, sign})

  const sweep = async (): Promise<void> => {
    await finish()
    const removed = keepMilliseconds > 0 ? await prune() : 0
    if (removed > 0) log.info({removed}, 'recordings older than recording_retention were removed')
    const files = closed || auditMilliseconds === 0 ? 0 : await pruneAudit()
    if (files > 0) log.info({files}, 'files of the audit log older than audit_retention were removed')
    if (!closed) again(removed < MOST_AT_ONCE ? EVERY_MS : SOON_MS)
  }

  const failed = (error: unknown): void => {
    log.warn({error: problemLine(asProblem(error))}, 'what is older than is kept could not all be removed')
    if (!closed) again(EVERY_MS)
  }

  const again = (milliseconds: number): void => {
    clearTimeout(timer)
    timer = setTimeout(() => {
      sweeping = sweep().catch(failed)
    }, milliseconds).unref()
  }

  return {
    start() {
      sweeping = sweep().catch(failed)
      return sweeping
    },
    async close() {
      closed = true
      clearTimeout(timer)
      await sweeping
    },
  }
}
