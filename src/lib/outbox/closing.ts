import {type AuditInput, lostTransfer} from '../audit/index.js'
import type {RecordingEnd} from '../recording/index.js'
import type {LaneState, SpooledEvent, Step} from './types.js'

/** What an event is stamped with when it happens, however late it is told. */
export interface Stamp {
  /** Unix ms. */
  now: () => number
  uuid: () => string
}

export interface ClosingOptions extends Stamp {
  /** Why the recording ends before its session did, or the session without an end of its own. */
  reason: string
  /** Whether the session is over as well, or only its recording. */
  sessionOver: boolean
  /** What is known here may not be all: whatever auth has of a recording is closed. */
  isLost?: boolean
}

/** What a session lacks that nobody goes on with, in the order in which it is told. Pure but for the uids. */
export function closingSteps(state: LaneState, options: ClosingOptions): Step[] {
  const {meta, sealed, uploaded, start, ended, open = []} = state
  const steps: Step[] = []
  const event = (input: AuditInput): void => {
    steps.push(eventStep(input, options))
  }
  if (options.sessionOver && !ended)
    for (const one of open) event({...factsOfEvent(one), ...lostTransfer(one.fields ?? {}, options.reason)})
  if ((meta || options.isLost) && !sealed) steps.push({kind: 'seal', end: cutShort(state, options.reason)})
  if (meta && !uploaded) event(uploadEvent(state, sealed ? undefined : options.reason))
  if ((meta || start) && !ended && options.sessionOver) event(endEvent(state, options.reason, !sealed))
  return steps
}

export const eventStep = (input: AuditInput, {now, uuid}: Stamp): Step => ({
  kind: 'event',
  input: {...input, uid: uuid(), time: now()},
})

const cutShort = ({meta, chunks, head, lastMs}: LaneState, reason: string): RecordingEnd => ({
  endedAt: (meta?.startedAt ?? 0) + lastMs,
  durationMs: lastMs,
  chunks,
  head,
  truncated: reason,
})

const uploadEvent = (state: LaneState, reason: string | undefined): AuditInput => ({
  ...{...factsOf(state), event: 'session.upload'},
  fields: {
    session_recording: mode(state),
    ...(state.chunks > 0 && {chunks: state.chunks, head: state.head}),
    ...(reason !== undefined && {truncated: true, reason}),
  },
})

/** As the auth service words it for sessions of its own process. */
function endEvent(state: LaneState, reason: string, truncated: boolean): AuditInput {
  const {meta, start, joined = [], lastMs} = state
  const facts = factsOf(state)
  const fields = start?.fields ?? {}
  const command = fields.initial_command ?? meta?.command
  const interactive = fields.interactive ?? meta?.interactive
  const begun = meta?.startedAt ?? start?.time
  return {
    ...{...facts, event: 'session.end'},
    fields: {
      session_recording: mode(state),
      ...(interactive !== undefined && {interactive}),
      ...(facts.user !== undefined && {
        participants: [facts.user, ...joined.filter(user => user !== facts.user)],
      }),
      ...(begun !== undefined && {session_start: new Date(begun).toISOString()}),
      // Up to here it is known that the session ran.
      ...(meta && {session_stop: new Date(meta.startedAt + lastMs).toISOString()}),
      ...(command !== undefined && {initial_command: command}),
      recorded: meta !== undefined,
      ...((truncated || !meta) && {truncated: true}),
      reason: start ? reason : `${reason}, and before its start was on record`,
    },
  }
}

const mode = ({start}: LaneState): unknown => start?.fields?.session_recording ?? 'proxy'

const keys = [
  ...['sid', 'user', 'login', 'server_id', 'server_hostname', 'server_addr', 'forwarded_by'],
  ...['addr.local', 'addr.remote'],
] as const

type Facts = Omit<AuditInput, 'event'>

function factsOf({start, meta}: LaneState): Facts {
  if (start) return factsOfEvent(start)
  if (!meta) return {proto: 'ssh'}
  const {sid, user, login, host, address} = meta
  return {sid, proto: 'ssh', user, login, server_hostname: host, server_addr: address}
}

/** Who, where and how, as an event of the session says it. */
function factsOfEvent(event: SpooledEvent): Facts {
  const known = keys.flatMap(key => (typeof event[key] === 'string' ? [[key, event[key]]] : []))
  return {proto: 'ssh', ...Object.fromEntries(known)}
}
