import type {Explanation} from '../../access/index.js'
import type {RoleResource} from '../resources/types.js'

/** A role and which version of it this is. */
export interface RoleRecord {
  resource: RoleResource
  /** Belongs to every cluster and cannot be changed. */
  preset: boolean
  revision: number
}

/** What the proxy would answer to a certificate that the user would get now, and how that comes about. */
export interface AccessExplanation extends Explanation {
  user: string
  login: string
  host: string
  /** UUID and name of the host that it is in the inventory. */
  hostId?: string
  hostname?: string
  /** Roles that the user has by name and that do not exist. */
  missingRoles: string[]
}
