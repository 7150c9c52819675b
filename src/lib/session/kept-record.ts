import type {SessionOptions} from '../access/types.js'
import type {AuditInput} from '../audit/event.js'
import type {ServedSessionParameters, SessionHandle} from './channel/client-end.js'
import {createSessionRecord, type SessionFacts} from './record.js'
import {sessionWarner} from './reporter.js'
import {hostedRecord} from './sharing/hosted-record.js'
import type {SessionHub} from './sharing/hub.js'
import {watchTransfer} from './transfers/transfers.js'
import type {Log, SessionAuth} from './types.js'

/** What becomes known of a session, and to whom. */
export interface KeptRecord extends Pick<ServedSessionParameters, 'record' | 'overseen' | 'watchTransfer'> {
  /** Puts on record what happens in it. */
  emit(input: AuditInput): Promise<void>
  /** Nobody may type now. */
  holdsInput(): boolean
}

export interface KeptRecordSettings {
  auth: SessionAuth
  clusterName: string
  /** The sessions that this process holds. */
  hub: Pick<SessionHub, 'host'>
  /** Unix ms. */
  now: () => number
  log: Log
}

/** What is done to a session because of its record, or by those who have joined it. */
export interface RecordedSession extends Pick<SessionHandle, 'end' | 'tell' | 'recordingLost'> {
  /** Types what somebody else has typed. The promise asks them to wait. */
  input(data: Buffer): Promise<void> | undefined
}

export interface KeptRecordOptions {
  /** Read each time: what is known by then counts. */
  facts: SessionFacts
  /** The user's. */
  roles: readonly string[]
  options: Pick<SessionOptions, 'recordSession' | 'oversight'>
  /** Where it is recorded; default: proxy. */
  place?: 'proxy' | 'node' | 'off'
  /** Whose record it is; asked once it is there. */
  session(): RecordedSession
}

/** The record that is kept here of a session, with those who may join it and the files that it moves. */
export function keepRecord(
  {auth, clusterName, hub, now, log}: KeptRecordSettings,
  {facts, roles, options, place = 'proxy', session}: KeptRecordOptions,
): KeptRecord {
  const {recordSession: mode, oversight} = options
  const warn = sessionWarner(log, facts)
  const emit = async (input: AuditInput): Promise<void> => {
    await auth.emit({...facts, proto: 'ssh', ...input})
  }
  const party = hub.host({
    ...{facts, roles, place, oversight: oversight ?? []},
    controls: {
      input: data => session().input(data),
      tell: line => session().tell(line),
      end: error => session().end(error),
    },
  })
  const recorded = createSessionRecord({
    ...{auth, clusterName, facts, now, mode, place, endFields: party.endFields},
    onFailure(error) {
      warn('recording failed')(error)
      session().recordingLost(error)
      if (mode === 'strict') return
      const failed = {event: 'session.recording.failed', success: false, error: error.message} as const
      emit(failed).catch(warn('audit event lost'))
    },
    onProblem: warn('audit event lost'),
  })
  const record = hostedRecord(recorded, party)
  return {
    ...{record, emit, overseen: oversight !== undefined},
    holdsInput: () => party.paused,
    watchTransfer: (kind, command) =>
      watchTransfer({
        ...{kind, command, emit, mode, marker: record.marker},
        onLost: error => session().end(error),
        onProblem: warn('audit event lost'),
      }),
  }
}
