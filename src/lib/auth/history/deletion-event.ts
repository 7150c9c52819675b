import type {AuditInput} from '../../audit/index.js'
import type {Tombstone} from '../../recording/index.js'

/**
 * Word of a recording that is about to be removed: what its tombstone says, so that the one can be held against the other.
 * @param uid of this removal, so that it is on record once
 */
export function deletionEvent(tombstone: Tombstone, uid: string): AuditInput {
  const {sid, cause, reason, removedBy, bytes, recording, end} = tombstone
  return {
    ...{event: 'session.recording.delete', sid, uid},
    ...(cause === 'request' && {user: removedBy}),
    ...(recording && {login: recording.login, server_hostname: recording.host}),
    fields: {
      ...{cause, bytes},
      ...(reason !== undefined && {reason}),
      ...(recording && {owner: recording.user, session_start: new Date(recording.startedAt).toISOString()}),
      ...(end && {chunks: end.chunks, head: end.head}),
    },
  }
}

/** Word that a removal, which may have been announced, does not take place. */
export const cancelledDeletionEvent = (sid: string, reason: string, uid: string): AuditInput => ({
  ...{event: 'session.recording.delete', success: false, sid, uid},
  error: `it is not removed: ${reason}`,
})
