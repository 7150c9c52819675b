import type {Duplex} from 'node:stream'
import {noSuchHost} from '../access/route.js'
import {problem} from '../errors/index.js'
import {type AdmittedClient, admitClient} from '../session/index.js'
import type {HostIdentity} from '../ssh/index.js'
import {serverFacts} from './server-facts.js'
import type {ForwardSettings, Ingress, Target} from './types.js'

/** What has to be at hand before a client can be spoken to. */
export interface Prepared {
  hostIdentity: HostIdentity
  userAuthorities: readonly Buffer[]
}

/** Fetched apart from `admit`, so that a failure can still be told where the stream is an SSH channel. */
export async function prepare(settings: ForwardSettings, host: string): Promise<Prepared> {
  const [hostIdentity, {user}] = await Promise.all([
    settings.hostIdentity(host),
    settings.auth.trustedAuthorities(),
  ])
  return {hostIdentity, userAuthorities: user}
}

/**
 * Authenticates the client on the inner connection, where it has to be who it was on the outer one, and asks whether it
 * may have this login on this host.
 */
export function admit(
  settings: ForwardSettings,
  ingress: Ingress,
  target: Target,
  prepared: Prepared,
  stream: Duplex,
): Promise<AdmittedClient> {
  const {user} = ingress.identity
  const {host, registered, cluster} = target
  return admitClient(
    settings,
    {
      ...{...prepared, stream, ends: ingress},
      refusal: login => ({user, login, ...serverFacts(target)}),
    },
    {
      ...{host, auth: settings.auth},
      async decide(login, identity) {
        if (identity.user !== user)
          throw problem(
            'access_denied',
            'the certificate is of another user than the connection to the proxy',
          )
        const decision = await settings.auth.decide({
          ...{identity, login, host},
          ...(registered && {hostId: registered.id}),
          ...(cluster && {cluster: cluster.name}),
        })
        if (!decision.allowed && decision.hidden) throw noSuchHost(host, decision.reason)
        return decision
      },
    },
  )
}
