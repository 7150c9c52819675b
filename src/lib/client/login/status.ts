import {parseAuthorizedKey, parseCertificate} from '../../sshcert/index.js'
import {formatProxyAddress} from '../address.js'
import type {Profile} from '../identity/profile.js'

/** What a login is good for; the names are those that scripts around `tsh status` know. */
export interface LoginStatus {
  profile_url: string
  username: string
  cluster: string
  roles: string[]
  logins: string[]
  /** ISO 8601. */
  valid_until: string
  expired: boolean
  extensions: string[]
  key_store: Profile['keyStore']
}

/** @param now Unix ms */
export function loginStatus(profile: Profile, now: number): LoginStatus {
  const {principals, validBefore, extensions} = parseCertificate(parseAuthorizedKey(profile.certificate).blob)
  const end = Number(validBefore) * 1000
  return {
    profile_url: `https://${formatProxyAddress(profile.proxy)}`,
    username: profile.user,
    cluster: profile.cluster,
    roles: rolesOf(extensions.get('teleport-roles')),
    logins: principals,
    valid_until: new Date(end).toISOString(),
    expired: end <= now,
    extensions: [...extensions.keys()].filter(name => name.startsWith('permit-')),
    key_store: profile.keyStore,
  }
}

/** The roles are for show here; a certificate whose roles cannot be read is still a certificate. */
function rolesOf(extension: string | undefined): string[] {
  try {
    const {roles} = JSON.parse(extension ?? '{}') as {roles?: unknown}
    return Array.isArray(roles) ? roles.filter(role => typeof role === 'string') : []
  } catch {
    return []
  }
}

/** `7h 59m`, `12m`, `40s`: the two largest units at most. */
export function formatRemaining(milliseconds: number): string {
  const seconds = Math.max(0, Math.floor(milliseconds / 1000))
  const [hours, minutes] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60]
  if (hours > 0) return minutes > 0 ? `${hours}h ${minutes}m` : `${hours}h`
  return minutes > 0 ? `${minutes}m` : `${seconds}s`
}

/** Lines for people, without the headline. */
export function statusLines(status: LoginStatus, now: number): string[] {
  const end = Date.parse(status.valid_until)
  const validity = status.expired
    ? `${status.valid_until} [EXPIRED]`
    : `${status.valid_until} [${formatRemaining(end - now)}]`
  return [
    `  Profile URL:  ${status.profile_url}`,
    `  User:         ${status.username}`,
    `  Cluster:      ${status.cluster}`,
    `  Roles:        ${status.roles.join(', ') || '-'}`,
    `  Logins:       ${status.logins.join(', ')}`,
    `  Valid until:  ${validity}`,
    `  Extensions:   ${status.extensions.join(', ') || '-'}`,
    `  Key:          ${keyPlaces[status.key_store]}`,
  ]
}

const keyPlaces: Record<Profile['keyStore'], string> = {
  file: 'in a file of the profile',
  keychain: "in this system's keychain",
  agent: 'in the ssh-agent alone',
}
