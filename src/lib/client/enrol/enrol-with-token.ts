import {enrolOverNetwork} from '../../auth/join/enrol-client.js'
import type {Enrolment, EnrolRequest} from '../../auth/join/enrol-types.js'
import {parseAddress} from '../../config/index.js'
import {problem} from '../../errors/index.js'

const authPort = 3025

/**
 * Asks the auth service across the network.
 * @param where `server` as `host[:port]`, `pins` separated by commas
 * @throws usage, tls_untrusted, unavailable, token_invalid, …
 */
export function enrolWithToken(
  request: EnrolRequest,
  where: {server: string; pins: string; insecure: boolean},
): Promise<Enrolment> {
  const {pins, insecure} = where
  const server = parseAddress(where.server, authPort)
  if (server) return enrolOverNetwork({server, pins, insecure, request, now: Date.now})
  throw problem('usage', `--auth-server expects host:port, not ${JSON.stringify(where.server.slice(0, 80))}`)
}
