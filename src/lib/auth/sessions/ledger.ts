import {type AuditEvent, maxNotedFiles} from '../../audit/index.js'

/** What the audit log says of one session. */
export interface SessionEntry {
  /** Its start event. */
  start?: AuditEvent
  ended: boolean
  uploaded: boolean
  damaged: boolean
  /** Those who have joined it. */
  joined: string[]
  /** Events of files that are on record as open, by their number. */
  open: Map<number, AuditEvent>
  /** Files were. A session that does nothing but move them may have neither start nor end. */
  moved: boolean
}

export const newEntry = (): SessionEntry => ({
  ...{ended: false, uploaded: false, damaged: false},
  joined: [],
  open: new Map(),
  moved: false,
})

/** What the line of every event has that the ledger looks at: those of sessions, sftp and scp. */
export const LEDGER_EVENTS = '"event":"s'

/**
 * Sessions that the events, oldest first, leave without their end or without word of their recording, and those of
 * `wanted` whatever is said of them. Memory is that of the sessions that are open at one time.
 */
export async function readLedger(
  events: AsyncIterable<AuditEvent>,
  wanted: ReadonlySet<string>,
): Promise<Map<string, SessionEntry>> {
  const ledger = new Map<string, SessionEntry>()
  for await (const event of events) {
    const {sid} = event
    if (sid === undefined) continue
    const known = ledger.get(sid)
    const entry = known ?? newEntry()
    if (!take(event, entry)) continue
    if (!known) ledger.set(sid, entry)
    if (isSettled(entry) && !wanted.has(sid)) ledger.delete(sid)
  }
  return ledger
}

/** True when nothing is left to say about the session. */
export const isSettled = (entry: SessionEntry): boolean => {
  const {start, ended, uploaded, damaged, open} = entry
  if (movesAlone(entry)) return open.size === 0
  return ended && (uploaded || damaged || start?.recorded === false)
}

/** Whether files are all that is known of the session. */
export const movesAlone = ({start, ended, uploaded, damaged, moved}: SessionEntry): boolean =>
  moved && !start && !ended && !uploaded && !damaged

function take(event: AuditEvent, entry: SessionEntry): boolean {
  switch (event.event) {
    case 'session.start':
      entry.start = event
      return true
    case 'session.join': {
      const {user, success} = event
      if (success && user !== undefined && !entry.joined.includes(user)) entry.joined.push(user)
      return false
    }
    case 'session.end':
      entry.ended = true
      return true
    case 'session.upload':
      entry.uploaded = true
      return true
    case 'session.recording.damaged':
      entry.damaged = true
      return true
    case 'session.transfer.open':
      if (typeof event.transfer === 'number' && entry.open.size < maxNotedFiles)
        entry.open.set(event.transfer, event)
      entry.moved = true
      return true
    default:
      return typeof event.transfer === 'number' && entry.open.delete(event.transfer)
  }
}
