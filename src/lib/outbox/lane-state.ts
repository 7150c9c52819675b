import {type AuditInput, maxNotedFiles, transferNumber} from '../audit/index.js'
import {problem} from '../errors/index.js'
import type {Count, LaneState, SpooledEvent, Step} from './types.js'

const GENESIS = '0'.repeat(64)

export const emptyState: LaneState = {
  ...{chunks: 0, head: GENESIS, lastMs: 0},
  ...{sealed: false, uploaded: false, ended: false},
}

export const noCount: Count = {steps: 0, events: 0}

export const countStep = ({steps, events}: Count, {kind}: Step): Count => ({
  steps: steps + 1,
  events: kind === 'event' ? events + 1 : events,
})

/**
 * The state after one more step. Pure.
 * @throws invalid_input for a step of a recording that is not the next one
 */
export function advance(state: LaneState, step: Step): LaneState {
  switch (step.kind) {
    case 'event':
      return afterEvent(state, step.input)
    case 'begin':
      if (state.meta) throw problem('already_exists', `session ${step.meta.sid} has a recording already`)
      return {...state, meta: step.meta}
    case 'chunk': {
      const {sequence, digest, lastMs} = step.chunk
      if (!state.meta || state.sealed || sequence !== state.chunks)
        throw problem('invalid_input', `chunk ${sequence} of the recording came where it is not due`)
      return {...state, chunks: sequence + 1, head: digest, lastMs}
    }
    case 'seal':
      // A truncated end closes what auth has, also where nobody here knows any more what that is.
      if (state.sealed || (!state.meta && step.end.truncated === undefined))
        throw problem('invalid_input', 'there is no recording to seal')
      return {...state, sealed: true}
  }
}

function afterEvent(state: LaneState, input: SpooledEvent): LaneState {
  switch (input.event) {
    case 'session.start':
      return {...state, start: input}
    case 'session.join':
      return afterJoin(state, input)
    case 'session.upload':
      return {...state, uploaded: true}
    case 'session.end':
      return {...state, ended: true}
    case 'session.transfer.open':
      return afterOpen(state, input)
    default:
      return transferNumber(input) === undefined ? state : afterClose(state, input)
  }
}

/** What a file begins with has to fit into one record, however long the names are that somebody thinks of. */
const maxOpenBytes = 128 * 1024

function afterOpen(state: LaneState, input: SpooledEvent): LaneState {
  const open = [...(state.open ?? []), input]
  const fits = open.length <= maxNotedFiles && Buffer.byteLength(JSON.stringify(open)) <= maxOpenBytes
  return fits ? {...state, open} : state
}

function afterClose(state: LaneState, input: AuditInput): LaneState {
  const number = transferNumber(input)
  const open = state.open?.filter(one => transferNumber(one) !== number) ?? []
  const {open: _, ...rest} = state
  return open.length > 0 ? {...rest, open} : rest
}

/** Far more than join a session; what is kept of one stays small. */
const maxJoined = 256

function afterJoin(state: LaneState, {user, success}: AuditInput): LaneState {
  const {joined = []} = state
  if (user === undefined || success === false || joined.includes(user) || joined.length >= maxJoined)
    return state
  return {...state, joined: [...joined, user]}
}

/** Whether something is missing that the session must have before it is over. */
export const isOpen = ({meta, sealed, uploaded, start, ended, open = []}: LaneState): boolean =>
  open.length > 0 ||
  (meta !== undefined && !(sealed && uploaded)) ||
  ((start !== undefined || meta !== undefined) && !ended)
