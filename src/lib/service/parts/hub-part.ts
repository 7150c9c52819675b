import {type SessionHub, startSessionHub} from '../../session/index.js'
import type {AuthLink} from '../auth-link.js'
import type {Part} from './part.js'

/**
 * The sessions that this process holds, in its proxy and in its node: whoever comes to its proxy can join both.
 * Undefined where neither of them is.
 */
export async function startHubPart(part: Part, link: AuthLink): Promise<SessionHub | undefined> {
  const {config, hostId, logger, now, resources} = part
  const role = (['proxy', 'node'] as const).find(one => config.roles.includes(one))
  if (!role) return undefined
  const auth = link.as(role)
  const hub = await startSessionHub({auth, heldBy: hostId, holder: config.nodename, log: logger, now})
  resources.add('sessions', hub.close)
  return hub
}
