import {
  type JoinMode,
  judgeJoin,
  mayKnowOf,
  mergeOptions,
  modesOf,
  noAuthenticator,
  type Role,
} from '../../access/index.js'
import {problem, type SallyportError} from '../../errors/index.js'
import {isUuid} from '../../names/index.js'
import {currentCaller} from '../access/current-user.js'
import {watchState} from '../cluster/watch-state.js'
import type {AuthContext} from '../context.js'
import type {AuthApi, Caller, SessionEnding, SessionTracker} from '../contract.js'
import {registeredName} from '../inventory/registered-name.js'
import {userKey} from '../names.js'
import {type StoredTracker, sessionTrackerSchema} from '../records.js'
import {wayFor} from './ways.js'

/** Whoever holds a session renews its tracker well before that. */
const trackerMilliseconds = 30 * 60_000
/** Long enough for a holder that was cut off from here for a while. */
const endingMilliseconds = 10 * 60_000
const maxReason = 256

type TrackerMethods = Pick<
  AuthApi,
  | 'listTrackers'
  | 'endSession'
  | 'upsertTracker'
  | 'removeTracker'
  | 'dropTrackers'
  | 'permitJoin'
  | 'watchEndings'
>

/** The sessions that run now: who sees, joins and ends them. */
export function trackerMethods(context: AuthContext, caller: Caller, roles: readonly Role[]): TrackerMethods {
  const {backend, trackers, endings, emit, joining, now} = context
  const find = async (sid: string): Promise<SessionTracker | undefined> => {
    const stored = isUuid(sid) ? await trackers.get(sid) : undefined
    return stored && trackerOf(stored.value)
  }
  /** A node knows the ID of a session that a proxy in front of it holds, and could be first to claim it. */
  const givesWay = async (heldBy: string): Promise<boolean> => {
    if (caller.kind !== 'system' || caller.role !== 'proxy') return false
    const roles = (await joining.machines.get(heldBy))?.value.roles
    return roles !== undefined && !roles.includes('proxy')
  }
  /** A node's sessions are at the node, whatever it calls itself. */
  const asKnown = async (told: Omit<StoredTracker, 'version'>): Promise<Omit<StoredTracker, 'version'>> => {
    if (caller.kind !== 'system' || caller.role !== 'node' || caller.hostId === undefined) return told
    if (caller.address === undefined) return told
    const name = await registeredName(context, caller.hostId)
    return {...told, hostId: caller.hostId, host: name, holder: name}
  }
  const readEndings = async (): Promise<SessionEnding[]> =>
    (await endings.entries()).map(({id, value: {by, reason}}) => ({
      ...{sid: id, by},
      ...(reason === undefined ? {} : {reason}),
    }))
  return {
    async listTrackers() {
      const all = (await trackers.list()).map(trackerOf).sort((a, b) => a.started - b.started)
      return caller.kind === 'user' ? all.filter(one => mayKnowOf(caller.name, roles, one)) : all
    },
    async endSession({sid, reason}) {
      checkReason(reason)
      const tracker = await find(sid)
      const user = caller.kind === 'user' ? caller.name : undefined
      // Whoever asked is on record, whether or not there was anything left to end.
      const tell = async (error?: string): Promise<void> => {
        const facts = tracker ? {login: tracker.login, server_hostname: tracker.host} : {}
        const fields = {by: user ?? caller.kind, reason, ...(tracker && {owner: tracker.user})}
        const event = {event: 'session.terminate', ...facts, sid: sid.slice(0, 64), fields} as const
        await emit({
          ...event,
          ...(user !== undefined && {user}),
          ...(error !== undefined && {success: false, error}),
        })
      }
      if (!tracker || (user !== undefined && !mayKnowOf(user, roles, tracker))) {
        await tell(tracker ? `${user} may not know of sessions of ${tracker.user}` : 'no such session runs')
        throw notFound(sid)
      }
      if (user !== undefined && !modesOf(user, roles, tracker).includes('moderator')) {
        await tell(`${user} may not end sessions of ${tracker.user}`)
        throw problem('access_denied', 'your roles do not let you moderate this session', {
          hint: 'ask an administrator',
        })
      }
      await tell()
      const ending = {version: 1, by: user ?? caller.kind, ...(reason ? {reason} : {})} as const
      await endings.put(sid, ending, now() + endingMilliseconds)
    },
    async upsertTracker(given) {
      const tracker = sessionTrackerSchema.safeParse(given)
      if (!tracker.success)
        throw problem('invalid_input', `the tracker is not valid: ${tracker.error.issues[0]?.message}`)
      const {sid, heldBy} = tracker.data
      requireHolder(caller, heldBy)
      const there = await find(sid)
      if (there && !(await givesWay(there.heldBy))) requireHolder(caller, there.heldBy)
      await trackers.put(sid, {version: 1, ...(await asKnown(tracker.data))}, now() + trackerMilliseconds)
    },
    async removeTracker(sid) {
      const there = await find(sid)
      if (!there) return
      requireHolder(caller, there.heldBy)
      await trackers.delete(sid)
      await endings.delete(sid)
    },
    async dropTrackers(heldBy) {
      requireHolder(caller, heldBy)
      const left = (await trackers.list()).filter(one => one.heldBy === heldBy)
      await Promise.all(left.map(({sid}) => trackers.delete(sid)))
    },
    async permitJoin({identity, sid, mode}) {
      const tracker = await find(sid)
      const refuse = async (error: SallyportError): Promise<never> => {
        const facts = tracker ? {login: tracker.login, server_hostname: tracker.host} : {}
        const fields = {mode, ...(tracker && {owner: tracker.user})}
        const event = {event: 'session.join', success: false, error: error.message} as const
        await emit({...event, ...facts, user: identity.user, sid: sid.slice(0, 64), proto: 'ssh', fields})
        throw error
      }
      const {user, logins} = identity
      const given: Caller = {kind: 'user', name: user, roles: identity.roles, logins}
      // Audits its own refusals.
      const {caller: joiner, roles: inForce} = await currentCaller(context, given)
      const {name, roles: named} = joiner.kind === 'user' ? joiner : given
      const verdict = judgeJoin({user: name, roles: inForce, mode, heldBy: ownAlone(caller)}, tracker)
      if (!tracker || (!verdict.permitted && verdict.why === 'unknown')) return refuse(notFound(sid))
      if (!verdict.permitted) return refuse(wrongMode(mode, verdict.modes))
      const options = mergeOptions(inForce, context.settings.access)
      const {disconnectExpiredCert, requireSessionMfa, pinSourceIp} = options
      const enrolled = (await context.users.get(userKey(name)))?.value.otpSecret !== undefined
      if (requireSessionMfa && !enrolled) return refuse(problem('access_denied', noAuthenticator(name)))
      const until = identity.validBefore * 1000
      const way = await wayFor(context, caller, tracker.heldBy)
      return {
        ...{tracker, user: name, roles: named},
        ...(requireSessionMfa && {secondFactor: true}),
        ...(pinSourceIp && {pinSourceIp}),
        ...(disconnectExpiredCert && {until}),
        ...(way && {way}),
      }
    },
    watchEndings: async ({signal}) =>
      watchState({backend, prefixes: ['endings/'], read: readEndings, signal}),
  }
}

/** A node lets people join its own sessions, and hears of no others; a proxy leads them to all of them. */
const ownAlone = (caller: Caller): string | undefined =>
  caller.kind === 'system' && caller.role === 'node' ? (caller.hostId ?? '') : undefined

/** Also what a session that is not to be known of gets: it must not differ from one that never was. */
const notFound = (sid: string): SallyportError =>
  problem('not_found', `no session ${JSON.stringify(sid.slice(0, 64))} runs now`, {
    hint: 'see `sallyport sessions ls`',
  })

const wrongMode = (mode: JoinMode, modes: readonly JoinMode[]): SallyportError =>
  problem('access_denied', `your roles do not let you join this session as ${mode}`, {
    hint: modes.length > 0 ? `they do as ${modes.join(' and ')}` : 'ask an administrator',
  })

function checkReason(reason = ''): void {
  // It is shown in the terminal of whoever is thrown out.
  if (reason.length <= maxReason && !/\p{Cc}/u.test(reason)) return
  throw problem('invalid_input', `a reason is one line of at most ${maxReason} characters`)
}

/** A machine elsewhere speaks for its own sessions alone. */
function requireHolder(caller: Caller, heldBy: string): void {
  if (caller.kind !== 'system' || caller.address === undefined || caller.hostId === heldBy) return
  throw problem('access_denied', 'this session is held by another machine')
}

/** Without the version, and without the keys that have no value. */
function trackerOf({version: _, ...tracker}: StoredTracker): SessionTracker {
  const {hostId, command, waitsFor, ...rest} = tracker
  return {
    ...rest,
    ...(hostId === undefined ? {} : {hostId}),
    ...(command === undefined ? {} : {command}),
    ...(waitsFor === undefined ? {} : {waitsFor}),
  }
}
