import type {RecordingHold, RecordingSummary} from '../../recording/index.js'

const iso = (ms: number): string => new Date(ms).toISOString()

/** A legal hold as commands print it for programs. */
export const holdView = ({at, by, reason}: RecordingHold) => ({at: iso(at), by, reason: reason ?? null})

/**
 * A recorded session as commands print it for programs. Every key is always there; `end` is null while it is not known,
 * and the last time that is known where `state` is truncated; `hold` is null unless it is held.
 */
export const recordingView = (summary: RecordingSummary) => ({
  sid: summary.sid,
  user: summary.user,
  login: summary.login,
  host: summary.host,
  address: summary.address,
  cluster: summary.cluster,
  start: iso(summary.startedAt),
  end: summary.endedAt === undefined ? null : iso(summary.endedAt),
  duration_ms: summary.durationMs,
  interactive: summary.interactive,
  command: summary.command ?? null,
  state: summary.state,
  bytes: summary.bytes,
  hold: summary.hold ? holdView(summary.hold) : null,
})
