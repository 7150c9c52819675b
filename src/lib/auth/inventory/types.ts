import type {Identity} from '../../access/index.js'
import type {NodeResource} from '../resources/types.js'

export interface HostsQuery {
  /** Words, each of which is in the UUID, name, address or a `label=value`; in any case of letters. */
  search?: string
  /** Each label with this value; `*` is any. */
  labels?: Record<string, string>
}

/** A registered host and which version of it this is. */
export interface RegisteredHost {
  resource: NodeResource
  revision: number
}

/** What somebody asked the proxy for; see `RouteRequest`. */
export interface HostRouteRequest {
  /** Who is to be led there, by the certificate of the connection. */
  identity: Identity
  /** Canonical. */
  host: string
  /** 0: whichever the host has. */
  port: number
  /** What the name resolves to. */
  addresses?: string[]
}
