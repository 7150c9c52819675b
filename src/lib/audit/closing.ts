import type {EventName} from './event.js'

/** Events that are emitted when their session is over: nobody can be refused anything for want of them. */
export const closingEvents: ReadonlySet<EventName> = new Set([
  'exec',
  'session.data',
  'session.recording.failed',
  'session.upload',
  'session.end',
])
