import {userInfo} from 'node:os'
import {runToEnd} from '../../children/index.js'
import {isMissing} from '../../durable/index.js'
import {problem, SallyportError} from '../../errors/index.js'
import {refuseExpired, refuseWhileClosed} from './account-state.js'
import {launchEnvironment} from './launch.js'
import type {Account} from './types.js'

/** A directory service that does not answer may not hold a login for ever. */
const lookupMilliseconds = 10_000
/** `id -G` of a user in as many groups as Linux allows (NGROUPS_MAX). */
const maxLookupBytes = 1024 * 1024
const maxNameLength = 255
/** getent(1): one or more keys were not found. */
const notFoundStatus = 2
/** getent(1) where there is no shadow(5). */
const unknownDatabaseStatus = 1
/** nologin(5). */
const nologinFile = '/etc/nologin'
/** (uid_t) −1 stands for "leave it as it is" in system calls. */
const maxId = 0xffff_fffe

/**
 * Whether this can be the name of an account. Numbers are refused in every spelling, because look-ups take them for
 * uids; so is what would be an option, a path or a field of passwd(5).
 */
export const isLoginName = (name: string): boolean =>
  name.length <= maxNameLength && /^(?!\d+$)[A-Za-z0-9_][A-Za-z0-9._@\\-]*\$?$/.test(name)

/** One line of `getent passwd` (passwd(5)); undefined where it is not one. An empty shell is /bin/sh there. */
export function parseAccount(line: string): Omit<Account, 'groups'> | undefined {
  const fields = line.split(':')
  const [name, , uid, gid, , home, shell] = fields
  if (fields.length !== 7 || !name || !isId(uid) || !isId(gid) || home === undefined) return undefined
  return {
    name,
    uid: Number(uid),
    gid: Number(gid),
    home: home.startsWith('/') ? home : '/',
    shell: shell?.startsWith('/') ? shell : '/bin/sh',
  }
}

/** What `id -G` prints; undefined where it is not that. */
export function parseGroups(text: string): number[] | undefined {
  const groups = text.trim().split(/\s+/)
  return groups.every(isId) ? groups.map(Number) : undefined
}

const isId = (text: string | undefined): text is string =>
  text !== undefined && /^\d{1,10}$/.test(text) && Number(text) <= maxId

/**
 * Looks a login up in the host's name service (files, LDAP, …). Ask anew for each session: groups change.
 * A process that is not root finds its own account only.
 * @throws not_found no such account, or an odd name
 * @throws access_denied another account than ours, and we are not root; or it has expired
 * @throws timeout, unavailable the name service does not answer; or the host is closed for logins
 */
export async function resolveAccount(name: string): Promise<Account> {
  if (!isLoginName(name)) throw unknownLogin(name)
  if (process.getuid?.() !== 0) return ownAccount(name)
  const found = parseAccount((await lookUp('getent', ['passwd', name], name)).split('\n')[0] ?? '')
  // The name that was asked for is the one that a certificate and a role allowed, letter by letter.
  if (found?.name !== name) throw unknownLogin(name)
  await refuseClosed(found)
  const groups = parseGroups(await lookUp('id', ['-G', name], name))
  if (!groups) throw problem('unavailable', `the groups of the login ${JSON.stringify(name)} cannot be read`)
  return {...found, groups}
}

/** What PAM would refuse, were it asked, and sshd without it does. */
async function refuseClosed({name, uid}: {name: string; uid: number}): Promise<void> {
  await refuseWhileClosed(uid, nologinFile)
  refuseExpired(name, await lookUp('getent', ['shadow', name], name, ''), Date.now())
}

function ownAccount(name: string): Account {
  const own = userInfo()
  if (own.username !== name) {
    throw problem('access_denied', `this host serves the login ${own.username} only`, {
      hint: `log in as ${own.username}, or have the node started as root to serve others`,
    })
  }
  const {uid, gid, homedir, shell} = own
  return {name, uid, gid, home: homedir, shell: shell || '/bin/sh', groups: process.getgroups?.() ?? [gid]}
}

/** @param otherwise what is found where there is nothing; without it that is an error */
async function lookUp(command: string, args: string[], name: string, otherwise?: string): Promise<string> {
  const {code, output, late, failure} = await runToEnd([command, ...args], {
    ...{milliseconds: lookupMilliseconds, maxBytes: maxLookupBytes},
    env: {...launchEnvironment, LC_ALL: 'C'},
  })
  if (code === 0) return output
  if (late) throw problem('timeout', "the host's name service did not answer in time")
  if (failure instanceof SallyportError) throw failure
  if (isMissing(failure)) throw problem('unavailable', `the host has no ${command} to look logins up with`)
  if (code !== notFoundStatus && (code !== unknownDatabaseStatus || otherwise === undefined))
    throw problem('unavailable', "the host's name service failed", {cause: failure})
  if (otherwise === undefined) throw unknownLogin(name)
  return otherwise
}

const unknownLogin = (name: string): SallyportError =>
  problem('not_found', `there is no login ${JSON.stringify(name.slice(0, maxNameLength))} on this host`)
