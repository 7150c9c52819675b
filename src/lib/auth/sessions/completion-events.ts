import {type AuditEvent, type AuditInput, lostTransfer} from '../../audit/index.js'
import type {CompletedRecording} from '../../recording/index.js'

// Events about a session that nobody ended: what its start event says about it, or else its recording.

type Facts = Omit<AuditInput, 'event' | 'fields'>

/** Word of a recording that has its end. */
export const uploadEvent = (
  sid: string,
  start: AuditEvent | undefined,
  completed: CompletedRecording,
): AuditInput => ({
  ...{...factsOf(sid, start, completed), event: 'session.upload'},
  fields: {
    ...{session_recording: 'proxy', chunks: completed.end.chunks, head: completed.end.head},
    ...cut(completed),
  },
})

export const damageEvent = (sid: string, start: AuditEvent | undefined, error: string): AuditInput => ({
  ...{...factsOf(sid, start, undefined), event: 'session.recording.damaged', success: false, error},
})

/** A file that was open: `opened` says so. */
export const lostFileEvent = (sid: string, opened: AuditEvent, reason: string): AuditInput => ({
  ...factsOf(sid, opened, undefined),
  ...lostTransfer(opened, reason),
})

/** The end that the session did not get; `reason` says why. `truncated` unless its recording is whole. */
export function endEvent(
  sid: string,
  start: AuditEvent | undefined,
  completed: CompletedRecording | undefined,
  reason: string,
  joined: readonly string[] = [],
): AuditInput {
  const facts = factsOf(sid, start, completed)
  const meta = completed?.meta
  const begun = meta ? new Date(meta.startedAt).toISOString() : start?.time
  const command = start?.initial_command ?? meta?.command
  const interactive = start?.interactive ?? meta?.interactive
  const truncated = completed?.end.truncated !== undefined || completed === undefined
  return {
    ...{...facts, event: 'session.end'},
    fields: {
      session_recording: 'proxy',
      ...(interactive !== undefined && {interactive}),
      ...(facts.user !== undefined && {
        participants: [facts.user, ...joined.filter(user => user !== facts.user)],
      }),
      ...(begun !== undefined && {session_start: begun}),
      // Up to here it is known that the session ran.
      ...(completed && {session_stop: new Date(completed.end.endedAt).toISOString()}),
      ...(command !== undefined && {initial_command: command}),
      recorded: completed !== undefined,
      ...(truncated && {truncated}),
      reason: start ? reason : `${reason}, and before its start was on record`,
    },
  }
}

const cut = ({end: {truncated}}: CompletedRecording) =>
  truncated === undefined ? {} : {truncated: true, reason: truncated}

const keys = [
  ...['user', 'login', 'server_hostname', 'server_addr', 'forwarded_by', 'addr.local', 'addr.remote'],
] as const

function factsOf(
  sid: string,
  start: AuditEvent | undefined,
  completed: CompletedRecording | undefined,
): Facts {
  if (start) {
    const known = keys.flatMap(key => (typeof start[key] === 'string' ? [[key, start[key]]] : []))
    return {sid, proto: 'ssh', ...Object.fromEntries(known)}
  }
  if (!completed) return {sid, proto: 'ssh'}
  const {user, login, host, address} = completed.meta
  return {sid, proto: 'ssh', user, login, server_hostname: host, server_addr: address}
}
