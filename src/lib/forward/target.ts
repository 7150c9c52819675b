import {asProblem, problem, SallyportError} from '../errors/index.js'
import {
  type ForwarderWord,
  forwarderProofRequest,
  forwarderWordMethod,
  makeForwarderProof,
  makeForwarderWord,
} from '../session/index.js'
import {type Credential, connect, type HostIdentity, type SshConnection} from '../ssh/index.js'
import {hostCertificateAlgorithms, plainHostKeyAlgorithms} from '../sshcert/index.js'
import {judgeHostKey} from './host-key.js'
import type {ForwardSettings, Target, WayTerms} from './types.js'

/** A slow target must not keep a client waiting for ever; sshd's own LoginGraceTime is two minutes. */
const handshakeMilliseconds = 30_000

export interface TargetConnection {
  connection: SshConnection
  /** `ip:port` that was dialled. */
  address: string
  terms?: WayTerms
}

export interface TargetLogin {
  login: string
  credentials: () => Promise<readonly Credential[]>
  /** What a node of ours has to be told before. */
  word: ForwarderWord | undefined
}

/**
 * Connects and logs in to a target.
 * @param abandoned resolves when nobody waits for the connection any more
 * @throws host_unreachable, dial_forbidden, host_key_refused, target_refused, agent_required
 */
export async function connectTarget(
  settings: ForwardSettings,
  target: Target,
  {login, credentials, word}: TargetLogin,
  abandoned: Promise<unknown>,
): Promise<TargetConnection> {
  const [{host: own}, identity] = await Promise.all([
    settings.auth.trustedAuthorities(),
    settings.hostIdentity(settings.proxyId),
  ])
  const {stream, address, terms} = await target.dial(login)
  const authorities = target.cluster?.hostAuthorities ?? own
  let handshaking = true
  void abandoned.then(() => handshaking && stream.destroy())
  try {
    const connection = await connect({
      stream,
      username: login,
      credentials,
      ...(word && isOwnNode(target) && {introduction: introductionBy(identity, word)}),
      // Plain keys are asked for too, so that a host without a certificate gets an error of its own.
      hostKeyAlgorithms: [...hostCertificateAlgorithms, ...plainHostKeyAlgorithms],
      verifyHostKey: async key =>
        judgeHostKey(key, {
          ...provenBy(target),
          authorities,
          check: settings.checkHostKeys,
          now: settings.now(),
        }),
      ...(settings.algorithms && {algorithms: settings.algorithms}),
      timeoutMilliseconds: handshakeMilliseconds,
      keepAliveMilliseconds: settings.keepAliveMilliseconds,
    })
    // Before anything is opened: a node that knows who its client is leaves the record of its sessions to us.
    const proof = makeForwarderProof(identity, connection.sessionId())
    void connection.request(forwarderProofRequest, proof, false)
    return {connection, address, ...(terms && {terms})}
  } catch (error) {
    throw explainTarget(asProblem(error, 'host_unreachable'), target)
  } finally {
    handshaking = false
  }
}

/** Others would count it as a failed attempt. */
const isOwnNode = ({registered, cluster}: Target): boolean =>
  registered?.subKind === 'node' && cluster === undefined

const introductionBy = (identity: HostIdentity, word: ForwarderWord) => ({
  method: forwarderWordMethod,
  data: (sessionId: Buffer) => makeForwarderWord(identity, sessionId, word),
})

/**
 * The names that a target proves itself by. A node's certificate carries its UUID, which no other machine's does; a plain
 * sshd's the names that it goes by.
 */
const provenBy = ({host, registered}: Target): {host: string; otherNames?: string[]} => {
  if (!registered) return {host}
  const {id, subKind, hostname, names = []} = registered
  return subKind === 'node' ? {host: id} : {host, otherNames: [hostname, ...names, id]}
}

function explainTarget(error: SallyportError, target: Target): SallyportError {
  const name = `${target.host}:${target.port}`
  if (error.code === 'protocol_error' || error.code === 'timeout') {
    return problem(
      'host_unreachable',
      `ssh: ${error.message.replace(/^(?!handshake failed)/, 'handshake failed: ')} (${name})`,
      {
        hint: 'its sshd may be dropping connections: see MaxStartups in its sshd_config',
        cause: error,
      },
    )
  }
  if (error.code !== 'host_key_refused') return error
  return new SallyportError('host_key_refused', `ssh: handshake failed: ${error.message}`, error.hint, {
    cause: error,
  })
}
