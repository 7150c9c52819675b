import type {SessionTracker} from '../../auth/contract.js'
import type {SessionFacts} from '../record.js'
import type {Member} from './members.js'

/** What does not change while the session runs. */
export interface HeldSession {
  facts: SessionFacts
  /** The user's roles. */
  roles: readonly string[]
  /** UUID of this machine. */
  heldBy: string
  /** Its name. */
  holder: string
}

/** What does. */
export interface SessionNow extends Pick<SessionTracker, 'state' | 'waitsFor'> {
  started: Pick<SessionTracker, 'interactive' | 'command' | 'started'>
  members: readonly Member[]
}

/** What the cluster is told of a session. Pure. */
export const trackerFacts = (
  {facts, roles, heldBy, holder}: HeldSession,
  {state, started, members, waitsFor}: SessionNow,
): SessionTracker => ({
  ...{sid: facts.sid, kind: 'ssh', state, user: facts.user, roles: [...roles], login: facts.login},
  ...{host: facts.server_hostname, address: facts.server_addr},
  ...(facts.server_id !== undefined && {hostId: facts.server_id}),
  ...{heldBy, holder, ...started},
  participants: members.map(({id, joiner: {user, mode}, joined, lastActive}) => ({
    ...{id, user, mode, joined, lastActive},
  })),
  ...(waitsFor !== undefined && {waitsFor}),
})
