import type {AuditInput} from '../audit/event.js'
import type {AuthApi} from '../auth/contract.js'
import {asProblem, problemLine} from '../errors/index.js'
import type {Log} from './types.js'

/** Writes events that nobody can wait for; what cannot be written is at least in the log. */
export const reporter =
  ({auth, log}: {auth: Pick<AuthApi, 'emit'>; log: Log}) =>
  (input: AuditInput): void => {
    auth
      .emit(input)
      .catch(error =>
        log.warn({event: input.event, error: problemLine(asProblem(error))}, 'audit event lost'),
      )
  }

/** Logs what goes wrong with a session and no user can be told of. Its ID is read by then: the host has a say in it. */
export const sessionWarner =
  (log: Log, facts: {sid: string}) =>
  (message: string) =>
  (error: unknown): void =>
    log.warn({sid: facts.sid, error: problemLine(asProblem(error))}, message)
