import type {Duplex} from 'node:stream'
import {acceptClient, admitted, type Ends, judgeLogin} from '../session/index.js'
import {isPinned} from '../sshcert/index.js'
import {comesToJoin, type Joiner, judgeJoiner} from './joiner.js'
import type {Admitted, NodeSettings} from './types.js'

/**
 * Lets a client in that may have the login it asks for on this host, or that comes to join sessions: that one gets no login,
 * and is decided about with each session.
 */
export async function admit(settings: NodeSettings, ends: Ends, stream: Duplex): Promise<Admitted | Joiner> {
  const {auth, hostId, nodename} = settings
  const [hostIdentity, authorities] = await Promise.all([settings.hostIdentity(), settings.authorities()])
  const accepted = await acceptClient(
    settings,
    {
      ...{stream, ends, hostIdentity, userAuthorities: authorities.user, forwarders: authorities.host},
      refusal: login => ({login, server_id: hostId, server_hostname: nodename}),
    },
    {
      principal: username => !comesToJoin(username),
      judge(username, client) {
        if (comesToJoin(username)) return judgeJoiner(settings, client.identity)
        const decide = () => auth.decide({identity: client.identity, login: username, host: nodename, hostId})
        return judgeLogin({host: nodename, auth, decide}, username, client)
      },
    },
  )
  const {verdict, connection, identity, certificate} = accepted
  if (!verdict) return {connection, identity, pinned: isPinned(certificate)}
  return {...admitted({...accepted, verdict}), hostAuthorities: authorities.host}
}
