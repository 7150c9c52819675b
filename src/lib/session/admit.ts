import type {Duplex} from 'node:stream'
import {onRecord} from '../access/route.js'
import type {AccessDecision, Identity, SessionOptions} from '../access/types.js'
import type {AuditInput} from '../audit/event.js'
import {problem} from '../errors/index.js'
import {type AlgorithmChoice, acceptConnection, type HostIdentity, type SshConnection} from '../ssh/index.js'
import {type Certificate, checkCertificate} from '../sshcert/index.js'
import {identityOf} from './identity.js'
import {permitted} from './permitted.js'
import type {Ends} from './sockets.js'

/** What is the same for every client of a server. */
export interface DoorSettings {
  graceMilliseconds: number
  keepAliveMilliseconds: number
  algorithms?: AlgorithmChoice
  /** Unix ms. */
  now: () => number
  /** Tells of somebody who was not let in. */
  report(input: AuditInput): void
}

/** A client that wants to log in, and what it is shown and measured by. */
export interface Newcomer {
  stream: Duplex
  ends: Ends
  hostIdentity: HostIdentity
  /** Public blobs of those whose user certificates count. */
  userAuthorities: readonly Buffer[]
  /** What goes on record about a refusal, besides its reason and the addresses. */
  refusal(username: string): Omit<AuditInput, 'event'>
}

/** Who has logged in by a certificate. */
export interface AcceptedClient<Verdict> {
  connection: SshConnection
  username: string
  identity: Identity
  certificate: Certificate
  verdict: Verdict
}

export interface Judgement<Verdict> {
  /** Whether the user name is a login, which the certificate has to carry. */
  principal(username: string): boolean
  /** @throws why the client may not come in */
  judge(username: string, identity: Identity): Verdict | Promise<Verdict>
}

/**
 * Authenticates a client by its certificate and has it judged, in the judge of the connection: nobody is connected who
 * was not decided about. The one place where certificates of users are measured.
 */
export async function acceptClient<Verdict>(
  settings: DoorSettings,
  {stream, ends, hostIdentity, userAuthorities, refusal}: Newcomer,
  {principal, judge}: Judgement<Verdict>,
): Promise<AcceptedClient<Verdict>> {
  let judged: {verdict: Verdict} | undefined
  const {connection, user} = await acceptConnection({
    stream,
    hostKeys: [hostIdentity],
    graceMilliseconds: settings.graceMilliseconds,
    keepAliveMilliseconds: settings.keepAliveMilliseconds,
    ...(settings.algorithms && {algorithms: settings.algorithms}),
    async judge(username, certificate) {
      checkCertificate(certificate, {
        kind: 'user',
        authorities: userAuthorities,
        ...(principal(username) && {principal: username}),
        now: settings.now(),
        remoteAddress: ends.remoteIp,
      })
      judged = {verdict: await judge(username, identityOf(certificate))}
    },
    onRefused: (username, error) =>
      settings.report({
        event: 'auth',
        success: false,
        error: onRecord(error).message,
        ...refusal(username),
        'addr.remote': ends.remoteAddress,
        'addr.local': ends.localAddress,
        proto: 'ssh',
      }),
  })
  if (!judged) throw problem('internal', 'a connection was accepted without a decision')
  const {certificate, username} = user
  return {connection, username, certificate, identity: identityOf(certificate), verdict: judged.verdict}
}

/** A client that may have the login it asked for. */
export interface AdmittedClient {
  connection: SshConnection
  login: string
  identity: Identity
  certificate: Certificate
  /** What role and certificate both allow. */
  options: SessionOptions
  /** Why access was granted. */
  reason: string
}

/** A place that clients log in to. */
export interface Entrance {
  /** As refusals name it. */
  host: string
  /** What the auth service says about this login there. @throws access_denied, host_not_found */
  decide(login: string, identity: Identity): Promise<AccessDecision>
}

/** Lets a client in that may have the login it asks for. */
export async function admitClient(
  settings: DoorSettings,
  newcomer: Newcomer,
  entrance: Entrance,
): Promise<AdmittedClient> {
  const accepted = await acceptClient(settings, newcomer, {
    principal: () => true,
    judge: (login, identity) => judgeLogin(entrance, login, identity),
  })
  return admitted(accepted)
}

type Allowed = Extract<AccessDecision, {allowed: true}>

/** @throws access_denied, host_not_found */
export async function judgeLogin(
  {host, decide}: Entrance,
  login: string,
  identity: Identity,
): Promise<Allowed> {
  const decision = await decide(login, identity)
  if (decision.allowed) return decision
  throw problem('access_denied', `access to ${host} as ${login} denied: ${decision.reason}`)
}

/** Who has logged in, with what role and certificate both allow. */
export const admitted = ({
  connection,
  username,
  identity,
  certificate,
  verdict,
}: AcceptedClient<Allowed>): AdmittedClient => ({
  ...{connection, identity, certificate},
  login: username,
  options: permitted(verdict.options, certificate),
  reason: verdict.reason,
})
