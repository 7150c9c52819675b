import type {AuditInput} from '../../audit/index.js'
import type {Tombstone} from '../../recording/index.js'

/** Word of a recording that is about to be removed: what its tombstone says, so that the one can be held against the other. */
export function deletionEvent(tombstone: Tombstone): AuditInput & {event: 'session.recording.delete'} {
  const {sid, cause, reason, bytes, recording, end} = tombstone
  return {
    ...{event: 'session.recording.delete', sid},
    ...(recording && {login: recording.login, server_hostname: recording.host}),
    fields: {
      ...{cause, bytes},
      ...(reason !== undefined && {reason}),
      ...(recording && {owner: recording.user, session_start: new Date(recording.startedAt).toISOString()}),
      ...(end && {chunks: end.chunks, head: end.head}),
    },
  }
}
