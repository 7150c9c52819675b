import {mayUse} from './decide.js'
import type {JoinMode} from './join-policies.js'
import {type JoinableSession, modesOf} from './joining.js'
import type {Role} from './roles.js'

/** Somebody who wants to join a session. */
export interface JoinRequest {
  user: string
  /** In force. */
  roles: readonly Role[]
  mode: JoinMode
  /** UUID of the one machine whose sessions may be meant; undefined: of any. */
  heldBy?: string | undefined
}

export type JoinVerdict =
  | {permitted: true}
  /** `unknown`: there is no such session, or they must not learn that there is. */
  | {permitted: false; why: 'unknown'}
  /** They may join it in these modes, and not in the one that they asked for. */
  | {permitted: false; why: 'mode'; modes: readonly JoinMode[]}

/** Whether somebody may join a session. Pure, and the one place where it is decided, whichever machine holds it. */
export function judgeJoin(
  {user, roles, mode, heldBy}: JoinRequest,
  session: (JoinableSession & {heldBy: string}) | undefined,
): JoinVerdict {
  const foreign = heldBy !== undefined && session?.heldBy !== heldBy
  if (!session || foreign || !mayKnowOf(user, roles, session)) return {permitted: false, why: 'unknown'}
  const modes = modesOf(user, roles, session)
  return modes.includes(mode) ? {permitted: true} : {permitted: false, why: 'mode', modes}
}

/** Whether somebody may know that a session runs. Pure. */
export const mayKnowOf = (user: string, roles: readonly Role[], session: JoinableSession): boolean =>
  modesOf(user, roles, session).length > 0 || user === session.user || mayUse(roles, 'session', 'list')
