import type {Duplex} from 'node:stream'
import type {AccessDecision} from '../access/types.js'
import {problem} from '../errors/index.js'
import {identityOf, permitted} from '../session/index.js'
import {acceptConnection} from '../ssh/index.js'
import {type Certificate, checkCertificate} from '../sshcert/index.js'
import {comesToJoin, type Joiner, judgeJoiner} from './joiner.js'
import type {Admitted, NodeSettings, Peer} from './types.js'

type Allowed = Extract<AccessDecision, {allowed: true}>

/**
 * Authenticates a client by its certificate, and has the auth service decide whether it may have the login it asks for.
 * Both happen in the judge of the connection, so nobody is connected who was not decided about. Whoever comes to join
 * sessions asks for no login: then each session is decided about.
 */
export async function admit(settings: NodeSettings, peer: Peer, stream: Duplex): Promise<Admitted | Joiner> {
  const {auth, hostId, nodename} = settings
  const [hostIdentity, authorities] = await Promise.all([settings.hostIdentity(), settings.authorities()])
  const judge = async (login: string, certificate: Certificate): Promise<Allowed> => {
    checkCertificate(certificate, {
      kind: 'user',
      authorities: authorities.user,
      principal: login,
      now: settings.now(),
      remoteAddress: peer.remoteIp,
    })
    const decision = await auth.decide({identity: identityOf(certificate), login, host: nodename, hostId})
    if (decision.allowed) return decision
    throw problem('access_denied', `access to ${nodename} as ${login} denied: ${decision.reason}`)
  }
  let access: Allowed | undefined
  const {connection, user} = await acceptConnection({
    stream,
    hostKeys: [hostIdentity],
    graceMilliseconds: settings.graceMilliseconds,
    keepAliveMilliseconds: settings.keepAliveMilliseconds,
    ...(settings.algorithms && {algorithms: settings.algorithms}),
    judge: async (login, certificate) => {
      if (comesToJoin(login)) return judgeJoiner(settings, peer, authorities.user, certificate)
      access = await judge(login, certificate)
    },
    onRefused: (login, error) =>
      settings.report({
        event: 'auth',
        success: false,
        login,
        error: error.message,
        server_id: hostId,
        server_hostname: nodename,
        'addr.remote': peer.remoteAddress,
        'addr.local': peer.localAddress,
        proto: 'ssh',
      }),
  })
  if (comesToJoin(user.username)) return {connection, certificate: user.certificate}
  if (!access) throw problem('internal', 'a connection was accepted without a decision')
  const {certificate, username} = user
  return {
    ...{connection, certificate, login: username},
    identity: identityOf(certificate),
    options: permitted(access.options, certificate),
    hostAuthorities: authorities.host,
  }
}
