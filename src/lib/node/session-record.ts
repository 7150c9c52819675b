import type {SessionOptions} from '../access/types.js'
import type {AuditInput} from '../audit/event.js'
import {asProblem, problemLine} from '../errors/index.js'
import {
  createSessionRecord,
  hostedRecord,
  type SessionFacts,
  type SessionRecord,
  type TransferWatch,
  watchTransfer,
} from '../session/index.js'
import type {NodeSession} from './session.js'
import type {NodeSettings} from './types.js'

/** What becomes known of a session, and to whom. */
export interface NodeRecord {
  record: SessionRecord
  emit(input: AuditInput): Promise<void>
  /** Watches the files that pass, where that is what the session is for. */
  watchTransfer(kind: string, command: string | undefined): TransferWatch | undefined
  /** The user's sessions need somebody who looks on, and it is seen to here. */
  overseen: boolean
  /** Nobody may type now. */
  paused(): boolean
}

/**
 * The forwarder in front of us has begun the record before it asked us to start anything, and writes each event once; those
 * who look on are with it.
 */
export const recordElsewhere: NodeRecord = {
  record: {
    begin: async () => undefined,
    output: () => undefined,
    marker: () => undefined,
    resize: () => undefined,
    finish: async () => undefined,
  },
  emit: async () => undefined,
  watchTransfer: () => undefined,
  overseen: false,
  paused: () => false,
}

export interface RecordHere {
  place: 'node' | 'off'
  facts: SessionFacts
  /** The user's. */
  roles: readonly string[]
  options: SessionOptions
  /** Whose record it is; asked once it is there. */
  session(): NodeSession
  warn(message: string): (error: unknown) => void
}

/** The record that this node keeps, with those who may join the session. */
export function recordHere(settings: NodeSettings, here: RecordHere): NodeRecord {
  const {facts, options, session, warn} = here
  const {auth, clusterName, hub, now} = settings
  const mode = options.recordSession
  const emit = async (input: AuditInput): Promise<void> => {
    await auth.emit({...facts, proto: 'ssh', ...input})
  }
  const party = hub.host({
    ...{facts, place: here.place, roles: here.roles, oversight: options.oversight ?? []},
    controls: {
      input: data => session().input(data),
      tell: line => session().tell(line),
      end: error => session().end(error),
    },
  })
  const kept = createSessionRecord({
    ...{auth, clusterName, facts, now, mode, place: here.place, endFields: party.endFields},
    onFailure(error) {
      warn('recording failed')(error)
      session().recordingLost(error)
      if (mode === 'strict') return
      const failed = {event: 'session.recording.failed', success: false, error: error.message} as const
      emit(failed).catch(warn('audit event lost'))
    },
    onProblem: warn('audit event lost'),
  })
  const record = hostedRecord(kept, party)
  return {
    ...{record, emit, overseen: options.oversight !== undefined},
    paused: () => party.paused,
    watchTransfer: (kind, command) =>
      watchTransfer({
        ...{kind, command, emit, mode, marker: record.marker},
        onLost: error => session().end(error),
        onProblem: warn('audit event lost'),
      }),
  }
}

export const warner =
  ({log}: NodeSettings, sid: string) =>
  (message: string) =>
  (error: unknown): void =>
    log.warn({sid, error: problemLine(asProblem(error))}, message)
