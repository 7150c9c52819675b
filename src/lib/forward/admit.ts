import type {Duplex} from 'node:stream'
import {noSuchHost, onRecord} from '../access/route.js'
import type {AccessDecision, Identity, SessionOptions} from '../access/types.js'
import {problem} from '../errors/index.js'
import {identityOf, permitted} from '../session/index.js'
import {acceptConnection, type HostIdentity, type SshConnection} from '../ssh/index.js'
import {type Certificate, checkCertificate} from '../sshcert/index.js'
import {serverFacts} from './server-facts.js'
import type {ForwardSettings, Ingress, Target} from './types.js'

/** A client that may have the login it asked for on the target. */
export interface Admitted {
  connection: SshConnection
  login: string
  identity: Identity
  certificate: Certificate
  /** What role and certificate both allow. */
  options: SessionOptions
  /** Why access was granted. */
  reason: string
}

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
 * Authenticates the client on the inner connection and asks whether it may have this login on this host. Both happen
 * in the judge of the connection, so nobody is connected who was not decided about.
 */
export async function admit(
  settings: ForwardSettings,
  ingress: Ingress,
  target: Target,
  {hostIdentity, userAuthorities}: Prepared,
  stream: Duplex,
): Promise<Admitted> {
  const {auth} = settings
  const judge = async (login: string, certificate: Certificate): Promise<Allowed> => {
    checkCertificate(certificate, {
      kind: 'user',
      authorities: userAuthorities,
      principal: login,
      now: settings.now(),
      remoteAddress: ingress.remoteIp,
    })
    if (certificate.keyId !== ingress.identity.user) {
      throw problem('access_denied', 'the certificate is of another user than the connection to the proxy')
    }
    const decision = await auth.decide({
      ...{identity: identityOf(certificate), login, host: target.host},
      ...(target.registered && {hostId: target.registered.id}),
      ...(target.cluster && {cluster: target.cluster.name}),
    })
    if (decision.allowed) return decision
    if (decision.hidden) throw noSuchHost(target.host, decision.reason)
    throw problem('access_denied', `access to ${target.host} as ${login} denied: ${decision.reason}`)
  }
  let access: Allowed | undefined
  const {connection, user} = await acceptConnection({
    stream,
    hostKeys: [hostIdentity],
    graceMilliseconds: settings.graceMilliseconds,
    keepAliveMilliseconds: settings.keepAliveMilliseconds,
    ...(settings.algorithms && {algorithms: settings.algorithms}),
    judge: async (login, certificate) => {
      access = await judge(login, certificate)
    },
    onRefused: (login, error) =>
      settings.report({
        event: 'auth',
        success: false,
        user: ingress.identity.user,
        login,
        error: onRecord(error).message,
        ...serverFacts(target),
        'addr.remote': ingress.remoteAddress,
        'addr.local': ingress.localAddress,
        proto: 'ssh',
      }),
  })
  if (!access) throw problem('internal', 'a connection was accepted without a decision')
  const {certificate, username} = user
  const options = permitted(access.options, certificate)
  return {
    ...{connection, certificate, options},
    login: username,
    identity: identityOf(certificate),
    reason: access.reason,
  }
}

type Allowed = Extract<AccessDecision, {allowed: true}>
