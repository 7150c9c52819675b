import {mayUse, type Role} from '../../access/index.js'
import {asProblem, problem} from '../../errors/index.js'
import type {RecordingSummary} from '../../recording/types.js'
import type {AuthContext} from '../context.js'
import type {AuthApi, Caller} from '../contract.js'

type HistoryMethods = Pick<AuthApi, 'listEvents' | 'listRecordings' | 'searchRecordings' | 'openRecording'>

const maxListed = 1000

/** What happened: events and recordings. Users see their own sessions, auditors and administrators all. */
export function historyMethods(context: AuthContext, caller: Caller, roles: readonly Role[]): HistoryMethods {
  const {audit, recordings} = context
  const seesAll = (resource: 'session' | 'event', verb: 'list' | 'read'): boolean =>
    caller.kind !== 'user' || mayUse(roles, resource, verb)
  const own = caller.kind === 'user' ? caller.name : undefined
  const isOwn = ({user}: RecordingSummary): boolean => user === own
  /** Whoever could have seen a recording that was removed is told so; for all others it never was. */
  const tellRemoved = async (sid: string, error: unknown): Promise<never> => {
    const removed = asProblem(error).code === 'not_found' ? await recordings.tombstone(sid) : undefined
    const mayKnow = removed && (seesAll('session', 'read') || removed.tombstone.recording?.user === own)
    if (!mayKnow) throw error
    const {removedAt, removedBy, cause} = removed.tombstone
    const by = cause === 'retention' ? 'as older than the cluster keeps' : `by ${removedBy}`
    const when = new Date(removedAt).toISOString().slice(0, 10)
    throw problem('not_found', `the recording of session ${sid} was removed on ${when}, ${by}`, {
      hint: 'see `sallyport recordings verify` for its tombstone',
    })
  }
  return {
    async listEvents(query) {
      if (seesAll('event', 'list')) return audit.query(query)
      if (query.user !== undefined && query.user !== own) return []
      return audit.query({...query, ...(own !== undefined && {user: own})})
    },
    async listRecordings({limit = 200, from, to, ...rest}) {
      const whose = seesAll('session', 'list') ? rest.user : own
      if (rest.user !== undefined && whose !== rest.user) return []
      return recordings.list({
        ...rest,
        limit: Math.min(limit, maxListed),
        ...(from && {from: from.getTime()}),
        ...(to && {to: to.getTime()}),
        ...(whose !== undefined && {user: whose}),
      })
    },
    async searchRecordings({text, regex = false, ignoreCase = false, limit = 100, from, to, ...filter}) {
      const whose = seesAll('session', 'list') && seesAll('session', 'read') ? filter.user : own
      const by = own ?? caller.kind
      const times = {...(from && {from: from.toISOString()}), ...(to && {to: to.toISOString()})}
      const fields = {text, regex, ignoreCase, filter: {...filter, ...times}}
      // On record before anything is shown, also where nothing is found or the search fails.
      await audit.emit({event: 'session.recording.search', user: by, fields})
      if (filter.user !== undefined && whose !== filter.user)
        return {hits: [], more: false, cut: [], waiting: 0, partly: 0}
      const answer = await recordings.search({
        ...{...filter, text, regex, ignoreCase, limit: Math.min(limit, maxListed)},
        ...(from && {from: from.getTime()}),
        ...(to && {to: to.getTime()}),
        ...(whose !== undefined && {user: whose}),
      })
      const shown = new Map(answer.hits.map(({recording}) => [recording.sid, recording.user]))
      await Promise.all(
        [...shown].map(([sid, owner]) =>
          audit.emit({event: 'session.recording.access', sid, user: by, fields: {owner, search: text}}),
        ),
      )
      return answer
    },
    async openRecording(sid) {
      const opened = await recordings.open(sid).catch(error => tellRemoved(sid, error))
      if (!seesAll('session', 'read') && !isOwn(opened.summary)) {
        await audit.emit({
          event: 'session.recording.access',
          success: false,
          sid,
          ...(own !== undefined && {user: own}),
        })
        // The same words as for a session that never was: whoever may not see it may not know of it either.
        throw problem('not_found', `there is no recording of session ${sid}`)
      }
      const by = own ?? caller.kind
      await audit.emit({
        event: 'session.recording.access',
        sid,
        user: by,
        fields: {owner: opened.summary.user},
      })
      return opened
    },
  }
}
