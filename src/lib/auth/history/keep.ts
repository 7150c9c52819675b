import {mayUse, type Role} from '../../access/index.js'
import {makeCheckpoint} from '../../audit/index.js'
import {asProblem, problem} from '../../errors/index.js'
import {type Tombstone, WHY_CHARACTERS} from '../../recording/index.js'
import type {AuthContext} from '../context.js'
import type {AuthApi, Caller} from '../contract.js'
import {deletionEvent} from './deletion-event.js'

type KeepMethods = Pick<
  AuthApi,
  'removeRecording' | 'getTombstone' | 'holdRecording' | 'releaseRecording' | 'auditCheckpoint'
>

/** What becomes of the evidence: removed for good with a tombstone, held so that nobody can, vouched for elsewhere. */
export function keepMethods(context: AuthContext, caller: Caller, roles: readonly Role[]): KeepMethods {
  const {audit, authorities, recordings, emit, now, settings} = context
  const user = caller.kind === 'user' ? caller.name : caller.kind
  const mayRead = (tombstone: Tombstone): boolean =>
    caller.kind !== 'user' || mayUse(roles, 'session', 'read') || tombstone.recording?.user === caller.name
  return {
    async removeRecording({sid, reason}) {
      checkReason(reason)
      let announced = false
      try {
        return await recordings.remove(sid, {
          ...{at: now(), by: user, cause: 'request'},
          ...(reason !== undefined && {reason}),
          async announce(tombstone, uid) {
            await emit(deletionEvent(tombstone, uid))
            announced = true
          },
        })
      } catch (error) {
        if (announced) throw error
        const {message} = asProblem(error)
        const fields = reason === undefined ? {} : {reason}
        // Where it cannot be put on record now, it is tried again; what the caller has to know is why nothing was removed.
        await emit({
          ...{event: 'session.recording.delete', success: false, sid, user, error: message, fields},
        }).catch(() => undefined)
        throw error
      }
    },
    async getTombstone(sid) {
      const found = await recordings.tombstone(sid)
      if (found && mayRead(found.tombstone)) return found.text
      throw problem('not_found', `no recording of session ${sid} was removed`)
    },
    async holdRecording({sid, reason}) {
      checkReason(reason)
      const why = reason === undefined ? {} : {reason}
      const summary = await recordings.hold(sid, {at: now(), by: user, ...why})
      await emit({event: 'session.recording.hold', sid, user, fields: {owner: summary.user, ...why}})
      return summary
    },
    async releaseRecording({sid, reason}) {
      checkReason(reason)
      const why = reason === undefined ? {} : {reason}
      await recordings.release(sid, ({user: owner}) =>
        emit({event: 'session.recording.release', sid, user, fields: {owner, ...why}}),
      )
    },
    async auditCheckpoint() {
      const time = new Date(now()).toISOString()
      return makeCheckpoint(
        {cluster: settings.clusterName, ...audit.head(), time},
        authorities.signAuditStatement,
      )
    },
  }
}

function checkReason(reason = ''): void {
  if (reason.length <= WHY_CHARACTERS && !/\p{Cc}/u.test(reason)) return
  throw problem('invalid_input', `a reason is one line of at most ${WHY_CHARACTERS} characters`)
}
