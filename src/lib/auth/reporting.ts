import type {AuditInput} from '../audit/index.js'
import {problem} from '../errors/index.js'
import {requireSid} from '../recording/index.js'
import type {AuthContext} from './context.js'
import type {AuthApi, Caller} from './contract.js'

type ReportingMethods = Pick<
  AuthApi,
  'emit' | 'emitAll' | 'beginRecording' | 'appendRecording' | 'sealRecording'
>

/** What happens at proxies and nodes. Whatever else there is in the log is of the auth service's own knowledge. */
const reportable =
  /^(session\.(start|join|leave|end|upload|data|connect|rejected|transfer\.lost|recording\.(failed|damaged))|resize|subsystem|exec|port|client\.disconnect|auth|x11|spool\.damaged|(scp|sftp|rsync)\.[a-z]+)$/

/** What the roles tell of their sessions. Another machine is named in what it tells, and tells of its own sessions alone. */
export function reportingMethods(
  {audit, recordings, holders}: AuthContext,
  caller: Caller,
): ReportingMethods {
  const hostId = caller.kind === 'system' && caller.address !== undefined ? caller.hostId : undefined
  if (caller.kind !== 'system' || hostId === undefined) return reportedHere({audit, recordings, holders})

  const isNode = caller.role === 'node'
  const machine = {hostId, role: caller.role}
  const admit = async (input: AuditInput): Promise<AuditInput> => {
    const {event, sid, fields} = input
    if (!reportable.test(event))
      throw problem('access_denied', `another machine cannot put ${event} on record: it did not happen there`)
    // A node tells of itself, whatever it calls itself.
    const reported = {...input, reported_by: hostId, ...(isNode && {server_id: hostId})}
    if (sid === undefined) return reported
    requireSid(sid)
    // Of a transfer of files there is no start.
    if (event === 'session.start' || !isNode) await holders.hold(sid, machine)
    else await holders.requireOwn(sid, machine)
    return event === 'session.upload' ? {...reported, fields: {...fields, ...(await sealOf(sid))}} : reported
  }
  /** What a recording is in the end stands here, whatever the machine says of it. */
  const sealOf = async (sid: string): Promise<{chunks?: number; head?: string}> => {
    // Where there is none that can be read, there is nothing to say but what the machine does.
    const index = await recordings.readIndex(sid).catch(() => undefined)
    return index?.seal ? {chunks: index.seal.chunks, head: index.seal.head} : {}
  }
  const emitAll = async (inputs: readonly AuditInput[]): Promise<void> => {
    const admitted: AuditInput[] = []
    for (const input of inputs) admitted.push(await admit(input))
    await Promise.all(admitted.map(audit.emit))
    for (const {event, sid} of inputs)
      if (event === 'session.end' && sid !== undefined) await holders.ended(sid, machine)
  }
  return {
    emit: input => emitAll([input]),
    emitAll,
    async beginRecording(meta) {
      requireSid(meta.sid)
      await holders.hold(meta.sid, machine)
      await recordings.begin(meta)
    },
    async appendRecording(sid, chunk) {
      requireSid(sid)
      await holders.hold(sid, machine)
      await recordings.append(sid, chunk)
    },
    async sealRecording(sid, end) {
      await holders.requireOwn(sid, machine)
      await recordings.seal(sid, end)
    },
  }
}

/** What the roles of this process tell is believed; that their sessions are theirs keeps other machines out of them. */
const reportedHere = ({
  audit,
  recordings,
  holders,
}: Pick<AuthContext, 'audit' | 'recordings' | 'holders'>): ReportingMethods => {
  const emit: ReportingMethods['emit'] = async input => {
    if (input.event === 'session.start' && input.sid !== undefined) await holders.holdHere(input.sid)
    return audit.emit(input)
  }
  return {
    emit,
    async emitAll(inputs) {
      await Promise.all(inputs.map(emit))
    },
    async beginRecording(meta) {
      await holders.holdHere(meta.sid)
      await recordings.begin(meta)
    },
    appendRecording: (sid, chunk) => recordings.append(sid, chunk),
    sealRecording: (sid, end) => recordings.seal(sid, end),
  }
}
