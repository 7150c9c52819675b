import {randomUUID} from 'node:crypto'
import {isIPv6} from 'node:net'
import {findLock, type Lock, type LockKind, lockReason} from '../../access/index.js'
import {problem} from '../../errors/index.js'
import {isPrincipal} from '../../sshcert/index.js'
import type {AuthContext} from '../context.js'
import type {AuthApi} from '../contract.js'
import {userNameProblem} from '../names.js'
import type {User} from '../records.js'
import {roleNameProblem} from './role-resource.js'
import {lockOf} from './stored-locks.js'

const minTtlSeconds = 1
const maxTtlSeconds = 10 * 365 * 24 * 3600
const maxMessage = 256
/** Each decision looks at all of them. */
const maxLocks = 1000

type LockMethods = Pick<AuthApi, 'createLock' | 'listLocks' | 'removeLock' | 'watchLocks'>

/** Administration of locks. `actor` is who asks. */
export function lockMethods(context: AuthContext, actor: string): LockMethods {
  const {locks, emit, now} = context
  const facts = ({id, kind, name, message, expires}: Lock) => ({
    by: actor,
    ...{lock: id, kind, name},
    ...(message === undefined ? {} : {message}),
    ...(expires === undefined ? {} : {expires: new Date(expires).toISOString()}),
  })
  return {
    async createLock({kind, name, message, ttlSeconds}) {
      checkMessage(message)
      if (ttlSeconds !== undefined && !(ttlSeconds >= minTtlSeconds && ttlSeconds <= maxTtlSeconds))
        throw problem('invalid_input', 'a lock is for one second to ten years', {hint: 'use --ttl=1h'})
      if ((await locks.list()).length >= maxLocks)
        throw problem('limit_exceeded', `there are ${maxLocks} locks already`, {
          hint: 'take some away, or lock a role that the users have',
        })
      const created = now()
      const expires = ttlSeconds === undefined ? undefined : created + Math.ceil(ttlSeconds * 1000)
      const lock = lockOf({
        ...{id: randomUUID(), kind, name: lockedName(kind, name), created, createdBy: actor},
        ...{message: message || undefined, expires},
      })
      const {id, ...rest} = lock
      await locks.records.create(id, {version: 1, ...rest}, expires)
      await emit({event: 'lock.created', fields: facts(lock)})
      return lock
    },
    listLocks: () => locks.list(),
    async removeLock(id) {
      const lock = (await locks.list()).find(one => one.id === id)
      if (!lock || !(await locks.records.delete(lock.id)))
        throw problem('not_found', `there is no lock ${JSON.stringify(id.slice(0, 80))}`, {
          hint: 'see `sallyport locks ls`',
        })
      await emit({event: 'lock.deleted', fields: facts(lock)})
    },
    watchLocks: async ({signal}) => locks.watch(signal),
  }
}

function checkMessage(message = ''): void {
  // It is shown to people who are thrown out of their terminals.
  if (message.length <= maxMessage && !/\p{Cc}/u.test(message)) return
  throw problem('invalid_input', `a message is one line of at most ${maxMessage} characters`)
}

/** As it will be compared. @throws invalid_input for a name that nothing of its kind can have */
function lockedName(kind: LockKind, name: string): string {
  const wrong = nameProblems[kind](name)
  if (wrong !== undefined) throw problem('invalid_input', wrong)
  return kind === 'node' ? canonicalNode(name) : name
}

/** A host in the spelling by which it is decided about. @throws invalid_input */
export const nodeName = (host: string): string => lockedName('node', host)

const quoted = (name: string): string => JSON.stringify(name.slice(0, 80))

const nameProblems: Readonly<Record<LockKind, (name: string) => string | undefined>> = {
  user: userNameProblem,
  role: name => (roleNameProblem(name) === undefined ? undefined : `${quoted(name)} cannot be a role`),
  login: name => (isPrincipal(name) ? undefined : `${quoted(name)} cannot be a login`),
  node: name =>
    /^[A-Za-z0-9_.-]{1,253}$/.test(name) || isIPv6(name) ? undefined : `${quoted(name)} cannot be a host`,
}

/** The spelling in which the proxy looks for hosts; other spellings of an IPv4 address are left to fail there. */
function canonicalNode(name: string): string {
  if (isIPv6(name)) return new URL(`http://[${name}]`).hostname.slice(1, -1)
  return name.toLowerCase().replace(/\.$/, '')
}

/**
 * The logins that a certificate for the user may be for now.
 * @throws account_locked where the user, a role of theirs or every login is locked
 */
export async function unlockedLogins({locks}: AuthContext, user: User): Promise<string[]> {
  const all = await locks.list()
  const whole = findLock(all, {user: user.name, roles: user.roles, logins: [], nodes: []})
  const shut = (login: string): Lock | undefined =>
    findLock(all, {user: '', roles: [], logins: [login], nodes: []})
  const open = user.logins.filter(login => !shut(login))
  const lock = whole ?? (open.length === 0 ? shut(user.logins[0] ?? '') : undefined)
  if (lock) throw problem('account_locked', lockReason(lock), {hint: 'ask an administrator'})
  return open
}
