export const lockKinds = ['user', 'role', 'login', 'node'] as const
export type LockKind = (typeof lockKinds)[number]

/** What an administrator has shut: nobody whom it is against logs in, begins a session or goes on with one. */
export interface Lock {
  id: string
  kind: LockKind
  /** Of the user, role or login; of a node the host as it is asked for, or its address. */
  name: string
  /** For those who meet it. */
  message?: string
  /** Unix ms. */
  created: number
  createdBy: string
  /** Unix ms from which on it is no longer in force; absent: it stays until it is taken away. */
  expires?: number
}

/** Everything by which somebody, or a connection of theirs, can be locked. */
export interface LockSubject {
  user: string
  roles: readonly string[]
  logins: readonly string[]
  /** Canonical host as asked for, and the address dialled where that is known. */
  nodes: readonly string[]
}

/** The first of `locks` that is against the subject. Users and hosts are the same in any case of their letters. */
export const findLock = (locks: readonly Lock[], subject: LockSubject): Lock | undefined =>
  locks.find(({kind, name}) => isAgainst[kind](name, subject))

const isAgainst: Readonly<Record<LockKind, (name: string, subject: LockSubject) => boolean>> = {
  user: (name, {user}) => sameName(name, user),
  role: (name, {roles}) => roles.includes(name),
  login: (name, {logins}) => logins.includes(name),
  node: (name, {nodes}) => nodes.some(node => sameName(name, node)),
}

const sameName = (a: string, b: string): boolean => a.toLowerCase() === b.toLowerCase()

/** In words for the one who is locked out. */
export function lockReason({kind, name, message, expires}: Lock): string {
  const until = expires === undefined ? '' : ` until ${new Date(expires).toISOString()}`
  return `the ${kind} ${name} is locked${until}${message === undefined ? '' : `: ${message}`}`
}
