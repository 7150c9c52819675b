import {
  type JoinMode,
  type JoinPolicy,
  type JoinRequirement,
  joinModes,
  type Oversight,
  type SessionKind,
} from './join-policies.js'
import {matchesPattern} from './labels.js'
import type {Role} from './roles.js'

/** A session, by all that a policy looks at. */
export interface JoinableSession {
  kind: SessionKind
  user: string
  /** The user's roles when the session began. */
  roles: readonly string[]
}

/** Somebody who has joined. */
export interface Onlooker {
  user: string
  /** In force when they joined. */
  roles: readonly string[]
  mode: JoinMode
}

/**
 * In which modes a user with these roles may join a session. Pure. What a role denies comes first; one's own sessions
 * may be joined in every mode that nothing denies.
 */
export function modesOf(user: string, roles: readonly Role[], session: JoinableSession): JoinMode[] {
  const own = sameUser(user, session.user)
  const named = (policies: readonly JoinPolicy[] | undefined, mode: JoinMode): boolean =>
    policies?.some(policy => policy.modes.includes(mode) && concerns(policy, session)) === true
  return joinModes.filter(
    mode =>
      !roles.some(({deny}) => named(deny.joinSessions, mode)) &&
      (own || roles.some(({allow}) => named(allow.joinSessions, mode))),
  )
}

const concerns = ({roles, kinds}: JoinPolicy, session: JoinableSession): boolean =>
  ofKind(kinds, session.kind) &&
  roles.some(pattern => session.roles.some(role => matchesPattern(pattern, role)))

const ofKind = (kinds: readonly string[], kind: SessionKind): boolean =>
  kinds.includes('*') || kinds.includes(kind)

const sameUser = (a: string, b: string): boolean => a.toLowerCase() === b.toLowerCase()

/** What the roles of a user demand of the user's sessions of this kind. Pure. */
export const oversightOf = (roles: readonly Role[], kind: SessionKind): Oversight =>
  roles
    .map(({allow}) => allow.requireSessionJoin?.filter(({kinds}) => ofKind(kinds, kind)) ?? [])
    .filter(requirements => requirements.length > 0)

export type OversightVerdict =
  | {met: true}
  /** `missing` says who has to come; `onLeave` is the strictest of what is not met. */
  | {met: false; missing: string; onLeave: 'terminate' | 'pause'}

/** Whether enough people look on. Pure. Whose session it is does not count. */
export function judgeOversight(
  oversight: Oversight,
  owner: string,
  onlookers: readonly Onlooker[],
): OversightVerdict {
  const unmet = oversight.filter(
    requirements => !requirements.some(requirement => isMet(requirement, owner, onlookers)),
  )
  if (unmet.length === 0) return {met: true}
  const patient = unmet.every(requirements => requirements.every(({onLeave}) => onLeave === 'pause'))
  return {
    met: false,
    missing: unmet.map(requirements => requirements.map(describe).join(' or ')).join(', and '),
    onLeave: patient ? 'pause' : 'terminate',
  }
}

function isMet(
  {roles, modes, count}: JoinRequirement,
  owner: string,
  onlookers: readonly Onlooker[],
): boolean {
  const counting = onlookers.filter(
    onlooker =>
      !sameUser(onlooker.user, owner) &&
      modes.includes(onlooker.mode) &&
      onlooker.roles.some(role => roles.includes(role)),
  )
  return new Set(counting.map(({user}) => user.toLowerCase())).size >= count
}

const describe = ({name, roles, modes, count}: JoinRequirement): string =>
  `${count} ${modes.join(' or ')}${count === 1 ? '' : 's'} with the role ${roles.join(' or ')} (${name})`
