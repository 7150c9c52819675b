import type {AuditInput} from '../../audit/index.js'
import {asProblem, problem} from '../../errors/index.js'
import {isOfUser, type RecordingMeta, requireSid} from '../../recording/index.js'
import type {AuthContext} from '../context.js'
import type {AuthApi, Caller} from '../contract.js'
import {registeredName} from '../inventory/registered-name.js'

type ReportingMethods = Pick<
  AuthApi,
  'emit' | 'emitAll' | 'beginRecording' | 'appendRecording' | 'sealRecording'
>

/** What happens at proxies and nodes. Whatever else there is in the log is of the auth service's own knowledge. */
const reportable =
  /^(session\.(start|join|leave|end|upload|data|connect|rejected|transfer\.(open|lost)|recording\.(failed|damaged))|resize|subsystem|exec|port|client\.disconnect|auth|x11|spool\.damaged|(scp|sftp|rsync)\.[a-z]+)$/

/** What the roles tell of their sessions. Another machine is named in what it tells, and tells of its own sessions alone. */
export function reportingMethods(context: AuthContext, caller: Caller): ReportingMethods {
  const {audit, recordings, holders, trackers} = context
  const hostId = caller.kind === 'system' && caller.address !== undefined ? caller.hostId : undefined
  if (caller.kind !== 'system' || hostId === undefined) return reportedHere({audit, recordings, holders})

  const isNode = caller.role === 'node'
  const machine = {hostId, role: caller.role}
  const admit = async (input: AuditInput): Promise<AuditInput> => {
    const {event, sid} = input
    if (!reportable.test(event))
      throw problem('access_denied', `another machine cannot put ${event} on record: it did not happen there`)
    const told = {
      ...(isNode ? ofNode(input, {hostId, name: await registeredName(context, hostId)}) : input),
      reported_by: hostId,
    }
    if (sid === undefined) return told
    await hold(sid)
    if (event === 'session.start' && input.user !== undefined) await requireOwner(sid, input.user)
    return event === 'session.upload' ? {...told, fields: {...told.fields, ...(await sealOf(sid))}} : told
  }
  /** Whoever is first to tell of a session holds it; one that was held and recorded is nobody's to claim any more. */
  const hold = async (sid: string): Promise<void> => {
    requireSid(sid)
    const tracked = isNode ? (await trackers.get(sid))?.value.heldBy : undefined
    const others = tracked !== undefined && tracked !== hostId
    if (others || ((await holders.isFree(sid)) && (await isRecorded(sid))))
      throw problem('already_exists', 'the session is that of another machine')
    await holders.hold(sid, machine)
  }
  const isRecorded = (sid: string): Promise<boolean> =>
    recordings.readIndex(sid).then(
      () => true,
      error => asProblem(error).code !== 'not_found',
    )
  /** What a recording is in the end stands here, whatever the machine says of it. */
  const sealOf = async (sid: string): Promise<{chunks?: number; head?: string}> => {
    // Where there is none that can be read, there is nothing to say but what the machine does.
    const index = await indexOf(sid)
    return index?.seal ? {chunks: index.seal.chunks, head: index.seal.head} : {}
  }
  /** More of its recording may be under way by another road. */
  const noteEnd = async (sid: string): Promise<void> => {
    const index = await indexOf(sid)
    if (!index || index.seal) await holders.ended(sid, machine)
  }
  /** What is no part of the recording is refused; that is on record once: when the recording ended for it. */
  const orTell = async (sid: string, step: Promise<void>): Promise<void> => {
    try {
      await step
    } catch (thrown) {
      const {code, message} = asProblem(thrown)
      const index = code === 'invalid_input' ? await indexOf(sid) : undefined
      const why = index?.seal?.truncated
      if (index && why !== undefined && message.startsWith(why)) await tellRefused(index.meta, message)
      throw thrown
    }
  }
  /** Undefined where there is none that can be read. */
  const indexOf = (sid: string) => recordings.readIndex(sid).catch(() => undefined)
  const tellRefused = ({sid, user, login, host}: RecordingMeta, error: string) =>
    audit.emit({
      ...{event: 'session.recording.refused', success: false, sid, error, reported_by: hostId},
      ...{user, login, server_hostname: host},
    })
  /** Whose session it is, start and recording say alike. */
  const requireOwner = async (sid: string, user: string): Promise<void> => {
    const meta = (await indexOf(sid))?.meta
    if (!meta || isOfUser(meta, user)) return
    const error = 'the session is recorded as that of another user than its start names'
    await tellRefused(meta, error)
    throw problem('invalid_input', error)
  }
  const emitAll = async (inputs: readonly AuditInput[]): Promise<void> => {
    const admitted: AuditInput[] = []
    for (const input of inputs) admitted.push(await admit(input))
    await Promise.all(admitted.map(audit.emit))
    for (const {event, sid} of inputs) if (event === 'session.end' && sid !== undefined) await noteEnd(sid)
  }
  return {
    emit: input => emitAll([input]),
    emitAll,
    async beginRecording(meta) {
      await hold(meta.sid)
      await recordings.begin(named(meta, isNode ? await registeredName(context, hostId) : meta.host))
    },
    async appendRecording(sid, chunk) {
      requireSid(sid)
      await holders.requireOwn(sid, machine)
      // That it is at work, once a day.
      await holders.hold(sid, machine)
      await orTell(sid, recordings.append(sid, chunk))
    },
    async sealRecording(sid, end) {
      requireSid(sid)
      await holders.requireOwn(sid, machine)
      await orTell(sid, recordings.seal(sid, end))
    },
  }
}

/** The node's own word stays beside the name that the cluster knows it by: the header has it, and is not to be changed. */
const named = ({toldHost: _, ...meta}: RecordingMeta, host: string): RecordingMeta => ({
  ...meta,
  host,
  ...(meta.host !== host && {toldHost: meta.host}),
})

/**
 * A node tells of itself, whatever it calls itself, and of sessions that no proxy records: those are told by the proxy.
 * Pure.
 */
function ofNode(
  {forwarded_by: _, server_id: __, ...input}: AuditInput,
  {hostId, name}: {hostId: string; name: string},
): AuditInput {
  const {fields} = input
  const place = fields?.session_recording === 'proxy' ? {fields: {...fields, session_recording: 'node'}} : {}
  return {...input, ...place, server_id: hostId, server_hostname: name}
}

/** What the roles of this process tell is believed; that their sessions are theirs keeps other machines out of them. */
const reportedHere = ({
  audit,
  recordings,
  holders,
}: Pick<AuthContext, 'audit' | 'recordings' | 'holders'>): ReportingMethods => {
  const emit: ReportingMethods['emit'] = async input => {
    const {event, sid} = input
    // Of a transfer of files there is no start.
    if (sid !== undefined && (event === 'session.start' || (await holders.isFree(sid))))
      await holders.holdHere(sid)
    await audit.emit(input)
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
