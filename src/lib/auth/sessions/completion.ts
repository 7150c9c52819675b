import {z} from 'zod'
import {
  type AuditInput,
  type AuditLog,
  type AuditSink,
  closingEvents,
  transferNumber,
} from '../../audit/index.js'
import {
  createRetries,
  isMissing,
  mayPassByItself,
  type Retries,
  readSmallFile,
  writeFileAtomic,
} from '../../durable/index.js'
import {asProblem, type Log, problemLine} from '../../errors/index.js'
import {HOUR_MS} from '../../names/index.js'
import type {CompletedRecording, RecordingStore} from '../../recording/index.js'
import {damageEvent, endEvent, lostFileEvent, uploadEvent} from './completion-events.js'
import {isSettled, LEDGER_EVENTS, movesAlone, newEntry, readLedger, type SessionEntry} from './ledger.js'

export interface CompletionOptions {
  audit: Pick<AuditLog, 'emit' | 'scan' | 'head'>
  recordings: Pick<RecordingStore, 'left' | 'complete' | 'markDamaged' | 'oldestUnsealed'>
  /** Remembers from when on sessions may be open. */
  file: string
  /** Unix ms. */
  now: () => number
  log: Pick<Log, 'info' | 'warn'>
  /** Whether another machine holds the session: it is that one's to complete. */
  isHeld: (sid: string) => Promise<boolean>
  retries?: Retries
}

/** Sees to it that every session gets its end, on record and in its recording, exactly once. */
export interface SessionCompletion {
  /** As the log's. An event that closes a session is tried again until it is on record, though the caller is told. */
  emit: AuditSink['emit']
  /** A recording of this process can no longer be written: it is sealed as truncated as soon as the disk lets it. */
  recordingFailed(sid: string): void
  /**
   * Completes what the processes before this one left, in the background. Every session of theirs is over, but for those
   * that other machines hold. Resolves when all of it is done; repeating it, or being killed, does no harm.
   */
  start(): Promise<void>
  close(): Promise<void>
}

const SERVICE_ENDED = 'the service ended before the session did'
const NOT_WRITTEN = 'the recording could no longer be written'
const REMEMBER_MS = HOUR_MS

/** Made before anything is written by this process: what the log holds now is of those before it. */
export function createCompletion(options: CompletionOptions): SessionCompletion {
  const {audit, recordings, log} = options
  const upTo = audit.head().sequence
  const retries =
    options.retries ??
    createRetries({
      onProblem: error => log.warn({error: problemLine(asProblem(error))}, 'will be tried again'),
    })
  /** Sessions of this process by when they began, Unix ms. */
  const running = new Map<string, number>()
  const files = noteOpenFiles(options.now)
  let closed = false
  let caughtUp = false
  let timer: NodeJS.Timeout | undefined
  let underWay: Promise<void> = Promise.resolve()

  const emit = async (input: AuditInput) => {
    const event = await audit.emit(input)
    files.note(input)
    if (input.sid !== undefined && input.event === 'session.start') running.set(input.sid, options.now())
    if (input.sid !== undefined && input.event === 'session.end') running.delete(input.sid)
    return event
  }

  const completeOrReport = async (
    sid: string,
    reason: string,
    entry: SessionEntry,
  ): Promise<CompletedRecording | undefined> => {
    try {
      if (!entry.damaged) return await recordings.complete(sid, reason)
    } catch (error) {
      if (mayPass(error)) throw error
      const {message} = asProblem(error)
      log.warn({sid, error: message}, 'damaged recording')
      await audit.emit(damageEvent(sid, entry.start, message))
      entry.damaged = true
    }
    await recordings.markDamaged(sid, 'see the audit event session.recording.damaged')
    return undefined
  }

  /** Each step notes that it is done, so that the next attempt begins behind it. */
  const finish = async (sid: string, entry: SessionEntry): Promise<void> => {
    for (const [number, opened] of entry.open) {
      await audit.emit(lostFileEvent(sid, opened, SERVICE_ENDED))
      entry.open.delete(number)
    }
    const completed = await completeOrReport(sid, SERVICE_ENDED, entry)
    if (completed && !entry.uploaded) {
      await audit.emit(uploadEvent(sid, entry.start, completed))
      entry.uploaded = true
    }
    if (entry.ended || (movesAlone(entry) && !completed)) return
    await audit.emit(endEvent(sid, entry.start, completed, SERVICE_ENDED, entry.joined))
    entry.ended = true
  }

  /** Where the next process has to begin to look. */
  const remember = async (): Promise<void> => {
    if (!caughtUp) return
    const since = Math.min(
      options.now(),
      recordings.oldestUnsealed() ?? Infinity,
      ...running.values(),
      files.oldest(),
    )
    await writeFileAtomic(options.file, `${JSON.stringify({since})}\n`).catch(error =>
      log.warn({error: problemLine(asProblem(error))}, 'the time of the last completion is not noted'),
    )
  }

  const start = async (): Promise<void> => {
    const since = Math.min(await readSince(options.file, log), options.now())
    const left = new Set<string>()
    for await (const sid of recordings.left(since)) left.add(sid)
    const ledger = await readLedger(audit.scan({since, upTo, containing: LEDGER_EVENTS}), left)
    const again: Promise<void>[] = []
    for (const sid of new Set([...ledger.keys(), ...left])) {
      if (closed) return
      const entry = ledger.get(sid) ?? newEntry()
      if (isSettled(entry) && entry.uploaded) continue
      if (await options.isHeld(sid)) {
        running.set(sid, since)
        continue
      }
      const job = () => finish(sid, entry)
      underWay = job().catch(() => void again.push(retries.add(job)))
      await underWay
      log.info({sid}, 'a session that an earlier process left was looked after')
    }
    await Promise.all(again)
    caughtUp = true
    await remember()
    timer = setInterval(remember, REMEMBER_MS).unref()
  }

  return {
    async emit(input) {
      try {
        return await emit(input)
      } catch (error) {
        log.warn(
          {event: input.event, error: problemLine(asProblem(error))},
          'an audit event is not on record',
        )
        if (isOwed(input)) void retries.add(async () => void (await emit(input)))
        throw error
      }
    },
    recordingFailed(sid) {
      const entry = newEntry()
      void retries.add(async () => {
        if (await options.isHeld(sid)) return
        const completed = await completeOrReport(sid, NOT_WRITTEN, entry)
        if (completed) await audit.emit(uploadEvent(sid, undefined, completed))
      })
    },
    start,
    async close() {
      closed = true
      clearInterval(timer)
      // A session gets all of its end or, from the next process, the rest of it.
      await underWay
      await retries.close()
      await remember()
    },
  }
}

/** What happened already, whatever the caller makes of it. */
const isOwed = ({sid, event, success}: AuditInput): boolean =>
  sid !== undefined &&
  (closingEvents.has(event) || (event === 'session.recording.delete' && success === false))

/** The files that are on record as open, and since when, Unix ms. */
function noteOpenFiles(now: () => number): {note(input: AuditInput): void; oldest(): number} {
  const open = new Map<string, number>()
  return {
    note(input) {
      const number = transferNumber(input)
      if (number === undefined) return
      const key = `${input.sid} ${number}`
      if (input.event === 'session.transfer.open') open.set(key, now())
      else open.delete(key)
    },
    oldest: () => Math.min(...open.values()),
  }
}

/** What may be different at the next attempt; anything else of a recording is damage. */
const mayPass = (error: unknown): boolean => asProblem(error).code === 'unavailable' || mayPassByItself(error)

const sinceSchema = z.object({since: z.number().nonnegative().max(8.64e15)})

/** Unix ms; 0, which is everything there is, where nothing was noted. */
async function readSince(file: string, log: Pick<Log, 'info' | 'warn'>): Promise<number> {
  try {
    return sinceSchema.parse(JSON.parse(await readSmallFile(file))).since
  } catch (error) {
    if (!isMissing(error))
      log.warn({error: asProblem(error).message}, 'the time of the last completion cannot be read')
    return 0
  }
}
