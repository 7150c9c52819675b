import {matchesPattern} from './labels.js'

/** Which roles of this cluster the users of another one have here, by a role that they have there. */
export interface RoleMapping {
  /** Literal, `*` glob, or `^regular expression$`. */
  remote: string
  local: readonly string[]
}

/** The roles here of somebody who has these roles there: those of every mapping that fits. No mapping, no role. Pure. */
export const mapRoles = (map: readonly RoleMapping[], remoteRoles: readonly string[]): string[] => [
  ...new Set(
    map.flatMap(({remote, local}) => (remoteRoles.some(role => matchesPattern(remote, role)) ? local : [])),
  ),
]

/** What a user of another cluster is called here, as in Teleport: the name that a lock on them is for. */
export const foreignName = (user: string, cluster: string): string => `remote-${user}-${cluster}`
