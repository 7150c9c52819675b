import type {KeyObject} from 'node:crypto'
import type {RemoteAuthApi} from '../../auth/http/remote-methods.js'
import {asProblem} from '../../errors/index.js'
import {
  againstLog,
  parseTombstone,
  type SessionVerdict,
  tombstoneAgainstLog,
  tombstoneFault,
  verifyRecording,
  vouchedBy,
} from '../../recording/index.js'

type Api = Pick<RemoteAuthApi, 'openRecording' | 'getTombstone' | 'listEvents'>

/** Verifies the recording of a session, or its tombstone, by itself and against the audit log. Throws `not_found`. */
export async function verifySession(api: Api, sid: string, keys: KeyObject[]): Promise<SessionVerdict> {
  const opened = await api.openRecording(sid).catch(async error => {
    const text = await tombstoneText(api, sid, error)
    return {text}
  })
  if ('text' in opened) return verifyTombstone(api, sid, keys, opened.text)
  const verdict = await verifyRecording({data: opened.data, keys, sid})
  const whole = await vouched(api, sid, 'session.upload')
  return {...againstLog(verdict, whole), vouched: whole !== undefined}
}

async function tombstoneText(api: Api, sid: string, error: unknown): Promise<string> {
  if (asProblem(error).code !== 'not_found') throw error
  return await api.getTombstone(sid).catch(() => {
    // There never was such a recording, or none that the caller may know of: the first answer says so.
    throw error
  })
}

async function verifyTombstone(
  api: Api,
  sid: string,
  keys: KeyObject[],
  text: string,
): Promise<SessionVerdict> {
  const fault = tombstoneFault(text, keys, sid)
  if (fault !== undefined) return {result: 'bad', reason: fault, vouched: false}
  const tombstone = parseTombstone(text)
  const whole = await vouched(api, sid, 'session.upload')
  const removed = await vouched(api, sid, 'session.recording.delete')
  const reason = tombstoneAgainstLog(tombstone, whole) ?? tombstoneAgainstLog(tombstone, removed)
  const known = {vouched: (whole ?? removed) !== undefined}
  return reason === undefined
    ? {result: 'removed', ...tombstone, ...known}
    : {result: 'bad', reason, ...known}
}

async function vouched(api: Api, sid: string, event: 'session.upload' | 'session.recording.delete') {
  // The first word counts: a later one cannot make an earlier state of the recording right.
  const [found] = await api.listEvents({sid, event: [event], order: 'oldest', limit: 1})
  return found && vouchedBy(found)
}
