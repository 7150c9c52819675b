import type {Duplex} from 'node:stream'
import {onRecord} from '../../access/route.js'
import type {AccessDecision, Identity, SessionOptions} from '../../access/types.js'
import type {AuditInput} from '../../audit/event.js'
import type {AuthApi} from '../../auth/contract.js'
import {problem} from '../../errors/index.js'
import {
  type AlgorithmChoice,
  acceptConnection,
  type HostIdentity,
  type Introductions,
  type SecondFactor,
  type SshConnection,
} from '../../ssh/index.js'
import {type Certificate, checkCertificate, isPinned} from '../../sshcert/index.js'
import {checkForwarderWord, type ForwarderWord, forwarderWordMethod} from './forwarder-proof.js'
import {identityOf} from './identity.js'
import {permitted} from './permitted.js'
import {codeCheck, sessionFactor} from './second-factor.js'
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
  /** Public blobs of the host authorities whose proxies are believed in what they have seen to; absent: nobody is. */
  forwarders?: readonly Buffer[]
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
  judge(username: string, client: ClaimedClient): Verdict | Promise<Verdict>
}

/** A client whose certificate is good; whether it is the client's shows when it signs. */
export interface ClaimedClient {
  identity: Identity
  certificate: Certificate
  /** `ip:port` of its connection. */
  address: string
  /** What the forwarder in front of the client vouches for. */
  word: ForwarderWord | undefined
  /** Asks for more than the certificate. */
  demand(factor: SecondFactor): void
}

/**
 * Authenticates a client by its certificate and has it judged, in the judge of the connection: nobody is connected who
 * was not decided about. The one place where certificates of users are measured.
 */
export async function acceptClient<Verdict>(
  settings: DoorSettings,
  {stream, ends, hostIdentity, userAuthorities, forwarders, refusal}: Newcomer,
  {principal, judge}: Judgement<Verdict>,
): Promise<AcceptedClient<Verdict>> {
  let judged: {verdict: Verdict} | undefined
  let word: ForwarderWord | undefined
  const introductions: Introductions | undefined = forwarders && {
    method: forwarderWordMethod,
    receive(data, sessionId) {
      word = checkForwarderWord(data, {authorities: forwarders, sessionId, now: settings.now()})
    },
  }
  const check = (username: string, certificate: Certificate): void =>
    checkCertificate(certificate, {
      kind: 'user',
      authorities: userAuthorities,
      ...(principal(username) && {principal: username}),
      now: settings.now(),
      remoteAddress: word?.address ?? ends.remoteIp,
    })
  const {connection, user} = await acceptConnection({
    stream,
    hostKeys: [hostIdentity],
    graceMilliseconds: settings.graceMilliseconds,
    keepAliveMilliseconds: settings.keepAliveMilliseconds,
    ...(settings.algorithms && {algorithms: settings.algorithms}),
    ...(introductions && {introductions}),
    async judge(username, certificate, demand) {
      check(username, certificate)
      const claimed: ClaimedClient = {
        ...{identity: identityOf(certificate), certificate, address: ends.remoteAddress, word},
        demand: factor =>
          demand({
            ...factor,
            async check(answer) {
              await factor.check(answer)
              // Somebody who types takes time.
              check(username, certificate)
            },
          }),
      }
      judged = {verdict: await judge(username, claimed)}
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
  auth: Pick<AuthApi, 'checkSessionMfa'>
  /** What the auth service says about this login there. @throws access_denied, host_not_found */
  decide(login: string, identity: Identity): Promise<AccessDecision>
}

/** Lets a client in that may have the login it asks for, and has shown whatever its roles ask for. */
export async function admitClient(
  settings: DoorSettings,
  newcomer: Newcomer,
  entrance: Entrance,
): Promise<AdmittedClient> {
  const accepted = await acceptClient(settings, newcomer, {
    principal: () => true,
    judge: (login, client) => judgeLogin(entrance, login, client),
  })
  return admitted(accepted)
}

type Allowed = Extract<AccessDecision, {allowed: true}>

/** Whether a client may have a login; demands whatever its roles want shown. @throws access_denied, host_not_found */
export async function judgeLogin(
  {host, auth, decide}: Entrance,
  login: string,
  {identity, certificate, address, word, demand}: ClaimedClient,
): Promise<Allowed> {
  const decision = await decide(login, identity)
  if (!decision.allowed)
    throw problem('access_denied', `access to ${host} as ${login} denied: ${decision.reason}`)
  const {user} = identity
  requirePin(decision.options, isPinned(certificate))
  if (decision.options.requireSessionMfa && !hasShown(user, word))
    demand(sessionFactor(codeCheck(auth, {user, login, address, host})))
  return decision
}

const hasShown = (user: string, word: ForwarderWord | undefined): boolean =>
  word?.secondFactor === true && word.user === user

/** Where certificates are to be pinned, one that is not was made before that was said. Pure. @throws access_denied */
export function requirePin({pinSourceIp}: Pick<SessionOptions, 'pinSourceIp'>, pinned: boolean): void {
  if (!pinSourceIp || pinned) return
  throw problem(
    'access_denied',
    'your roles pin certificates to the address of the login, and this one is not pinned',
    {hint: 'log in again'},
  )
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
