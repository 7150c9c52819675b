// What roles say about joining sessions.

/** observer: sees. moderator: sees, and may end the session. peer: types too. */
export const joinModes = ['observer', 'moderator', 'peer'] as const
export type JoinMode = (typeof joinModes)[number]

/**
 * The user name by which somebody comes to the machine that holds a session, to join it and for nothing else. No login can
 * be called so: a colon ends the name in passwd(5).
 */
export const joinLogin = 'sallyport:join'

export const sessionKinds = ['ssh'] as const
export type SessionKind = (typeof sessionKinds)[number]

/** Lets those who have the role join sessions of others. */
export interface JoinPolicy {
  name: string
  /** Of whose sessions: patterns for roles of the session's user, one of which has to fit. */
  roles: readonly string[]
  /** `*` is every kind. */
  kinds: readonly string[]
  modes: readonly JoinMode[]
}

/** Holds the sessions of those who have the role back until others have joined. */
export interface JoinRequirement {
  name: string
  /** Roles that somebody needs one of to count. */
  roles: readonly string[]
  kinds: readonly string[]
  /** Modes in which somebody counts. */
  modes: readonly JoinMode[]
  /** How many people; one who has joined twice is one. */
  count: number
  /** What becomes of the session when not enough of them are there any more. */
  onLeave: 'terminate' | 'pause'
}

/** What a session waits for: of each list one requirement has to be met. Every role that asks for something has a list. */
export type Oversight = readonly (readonly JoinRequirement[])[]
