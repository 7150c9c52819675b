import type {AuditInput} from '../audit/index.js'
import {problem} from '../errors/index.js'
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
  if (hostId === undefined)
    return {
      emit: input => audit.emit(input),
      async emitAll(inputs) {
        await Promise.all(inputs.map(input => audit.emit(input)))
      },
      beginRecording: meta => recordings.begin(meta),
      appendRecording: (sid, chunk) => recordings.append(sid, chunk),
      sealRecording: (sid, end) => recordings.seal(sid, end),
    }

  const isNode = caller.kind === 'system' && caller.role === 'node'
  const admit = async (input: AuditInput): Promise<AuditInput> => {
    const {event, sid, fields} = input
    if (!reportable.test(event))
      throw problem('access_denied', `another machine cannot put ${event} on record: it did not happen there`)
    // A node tells of itself, whatever it calls itself.
    const reported = {...input, reported_by: hostId, ...(isNode && {server_id: hostId})}
    if (sid === undefined) return reported
    if (event === 'session.start') await holders.hold(sid, hostId)
    else await holders.requireOwn(sid, hostId)
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
      if (event === 'session.end' && sid !== undefined) await holders.ended(sid, hostId)
  }
  return {
    emit: input => emitAll([input]),
    emitAll,
    async beginRecording(meta) {
      await holders.hold(meta.sid, hostId)
      await recordings.begin(meta)
    },
    async appendRecording(sid, chunk) {
      await holders.hold(sid, hostId)
      await recordings.append(sid, chunk)
    },
    async sealRecording(sid, end) {
      await holders.requireOwn(sid, hostId)
      await recordings.seal(sid, end)
    },
  }
}
