import type {AuditInput} from '../audit/index.js'
import type {AuthContext} from './context.js'
import type {AuthApi, Caller} from './contract.js'

type ReportingMethods = Pick<
  AuthApi,
  'emit' | 'emitAll' | 'beginRecording' | 'appendRecording' | 'sealRecording'
>

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

  const admit = async ({event, sid}: AuditInput): Promise<void> => {
    if (sid === undefined) return
    if (event === 'session.start') await holders.hold(sid, hostId)
    else await holders.requireOwn(sid, hostId)
  }
  const emit = async (input: AuditInput): Promise<void> => {
    await admit(input)
    await audit.emit({...input, reported_by: hostId})
    const {event, sid} = input
    if (event === 'session.end' && sid !== undefined) await holders.ended(sid, hostId)
  }
  return {
    emit,
    async emitAll(inputs) {
      for (const input of inputs) await admit(input)
      await Promise.all(inputs.map(input => audit.emit({...input, reported_by: hostId})))
      for (const {event, sid} of inputs)
        if (event === 'session.end' && sid !== undefined) await holders.ended(sid, hostId)
    },
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
