import type {AuditEvent} from '../audit/index.js'
import {type Vouched, vouchedBy} from '../recording/index.js'

/** What the audit log says of the recording of one session. */
export interface RecordedSession {
  /** It began, and was recorded. */
  recorded: boolean
  /** Its end is on record. */
  uploaded: boolean
  /** What it was when it was whole. */
  whole?: Vouched | undefined
  /** It was removed, or was about to be. */
  removed: boolean
  held: boolean
  /** Found damaged by the service itself. */
  damaged: boolean
}

/** What the line of every event has that counts here. */
export const SESSION_EVENTS = '"event":"session.'

/** The records of all sessions that the events, oldest first, speak of: some hundred bytes of memory for each. */
export async function readRecordedSessions(
  events: AsyncIterable<AuditEvent>,
): Promise<Map<string, RecordedSession>> {
  const records = new Map<string, RecordedSession>()
  for await (const event of events) {
    const {sid} = event
    if (sid === undefined) continue
    const record = records.get(sid) ?? none()
    if (take(event, record)) records.set(sid, record)
  }
  return records
}

const none = (): RecordedSession => ({
  ...{recorded: false, uploaded: false, removed: false, held: false, damaged: false},
})

function take(event: AuditEvent, record: RecordedSession): boolean {
  switch (event.event) {
    case 'session.start':
      record.recorded = event.recorded !== false
      return true
    case 'session.upload':
      record.uploaded = true
      // The first word counts: a later one cannot make an earlier state of the recording right.
      record.whole ??= vouchedBy(event)
      return true
    case 'session.recording.delete':
      // What was announced and could not be done is taken back by a failure.
      record.removed = event.success
      return true
    case 'session.recording.hold':
      record.held = true
      return true
    case 'session.recording.release':
      record.held = false
      return true
    case 'session.recording.damaged':
      record.damaged = true
      return true
    case 'session.end':
      return true
    default:
      return false
  }
}
