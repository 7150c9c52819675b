import type {Lock} from '../../access/index.js'
import type {
  AccessExplanation,
  Authority,
  CreatedInvite,
  CreatedToken,
  JoinTokenSummary,
  RemoteCluster,
  UserSummary,
} from '../../auth/contract.js'
import type {EnrolPaths} from '../enrol/sshd-config.js'

// What commands print for programs, one function for each thing that there is: names in snake_case, times in ISO 8601. What
// is absent has no key.

const iso = (ms: number): string => new Date(ms).toISOString()
const isoOf = <Name extends string>(name: Name, ms: number | undefined) =>
  (ms === undefined ? {} : {[name]: iso(ms)}) as {[key in Name]?: string}

export const userView = ({created, lockedUntil, ...user}: UserSummary) => ({
  ...user,
  created: iso(created),
  ...isoOf('locked_until', lockedUntil),
})

export const inviteView = ({user, url, expires}: CreatedInvite) => ({user, url, expires: iso(expires)})

export const lockView = ({created, createdBy, expires, ...lock}: Lock) => ({
  ...lock,
  created: iso(created),
  created_by: createdBy,
  ...isoOf('expires', expires),
})

export const tokenView = ({expires, createdBy, ...token}: JoinTokenSummary) => ({
  ...token,
  ...isoOf('expires', expires),
  created_by: createdBy,
})

/** A token that was just made, the only time that it is shown. */
export const createdTokenView = ({expires, caPins, authServer, clusterName, ...token}: CreatedToken) => ({
  ...token,
  ...{expires: iso(expires), ca_pins: caPins, auth_server: authServer, cluster_name: clusterName},
})

export const authorityView = ({publicKey, ...authority}: Authority) => ({...authority, public_key: publicKey})

export const remoteClusterView = ({name, joined}: RemoteCluster) => ({name, joined: iso(joined)})

/** The files of an enrolled sshd. */
export const enrolPathsView = ({config, dropIn, hostKey, certificate, userCa, state}: EnrolPaths) => ({
  ...{config, drop_in: dropIn, host_key: hostKey, certificate, user_ca: userCa, state},
})

export const explanationView = ({
  decision,
  lock,
  carriesLogin,
  missingRoles,
  hostId,
  ...explanation
}: AccessExplanation) => ({
  ...explanation,
  ...(hostId !== undefined && {host_id: hostId}),
  decision: inSnakeCase(decision),
  ...(lock && {lock: lockView(lock)}),
  carries_login: carriesLogin,
  missing_roles: missingRoles,
})

/** The same with names in snake_case, at every depth. Not for maps, whose keys are somebody's own. */
function inSnakeCase(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(inSnakeCase)
  if (value === null || typeof value !== 'object') return value
  return Object.fromEntries(
    Object.entries(value).map(([name, inner]) => [
      name.replace(/[A-Z]/g, letter => `_${letter.toLowerCase()}`),
      inSnakeCase(inner),
    ]),
  )
}
