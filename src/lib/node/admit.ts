import type {Duplex} from 'node:stream'
import {admitClient, type Ends} from '../session/index.js'
import type {Admitted, NodeSettings} from './types.js'

/** Lets a client in that may have the login it asks for on this host. */
export async function admit(settings: NodeSettings, ends: Ends, stream: Duplex): Promise<Admitted> {
  const {auth, hostId, nodename} = settings
  const [hostIdentity, authorities] = await Promise.all([settings.hostIdentity(), settings.authorities()])
  const admitted = await admitClient(
    settings,
    {
      ...{stream, ends, hostIdentity, userAuthorities: authorities.user},
      refusal: login => ({login, server_id: hostId, server_hostname: nodename}),
    },
    {
      host: nodename,
      decide: (login, identity) => auth.decide({identity, login, host: nodename, hostId}),
    },
  )
  return {...admitted, hostAuthorities: authorities.host}
}
