import type {Duplex} from 'node:stream'
import {problem, type SallyportError} from '../errors/index.js'
import type {AlgorithmChoice} from './algorithms.js'
import {
  type AcceptedUser,
  authenticateClient,
  type CertificateJudge,
  type Introductions,
} from './auth-server.js'
import {type ConnectionOptions, createConnection, type SshConnection} from './connection.js'
import type {HostIdentity} from './host-keys.js'
import type {RekeyLimits} from './rekey-policy.js'
import {whenReady} from './ssh2-protocol.js'
import {createTransport} from './transport.js'

export interface AcceptOptions extends ConnectionOptions {
  stream: Duplex
  hostKeys: readonly HostIdentity[]
  judge: CertificateJudge
  introductions?: Introductions
  /** Called for each certificate that was refused, for the audit log. */
  onRefused?: (username: string, error: SallyportError) => void
  algorithms?: AlgorithmChoice
  /** When to exchange new keys; default: after a gigabyte or an hour. */
  rekey?: RekeyLimits
  /** Time for key exchange and certificate together, like sshd's LoginGraceTime. Typing has time of its own. */
  graceMilliseconds: number
}

/** For whoever has to take a telephone out of a pocket. */
const typingMilliseconds = 120_000

export interface AcceptedConnection {
  connection: SshConnection
  user: AcceptedUser
}

/**
 * Takes an SSH connection on `stream`: key exchange, certificate authentication. The handlers of the connection must
 * be set in the same turn of the event loop in which the promise resolves.
 * @throws timeout, protocol_error, …: whatever ended the connection first
 */
export const acceptConnection = (options: AcceptOptions): Promise<AcceptedConnection> =>
  whenReady(() => accept(options))

function accept(options: AcceptOptions): Promise<AcceptedConnection> {
  return new Promise((resolve, reject) => {
    let accepted = false
    const transport = createTransport({
      stream: options.stream,
      role: {kind: 'server', hostKeys: options.hostKeys},
      ...(options.algorithms && {algorithms: options.algorithms}),
      ...(options.rekey && {rekey: options.rekey}),
      onReady: () => undefined,
      onMessage: payload => (accepted ? connection.receive(payload) : authentication.receive(payload)),
      onDrain: () => connection.drained(),
      onClose: error => {
        clearTimeout(grace)
        authentication.stop()
        connection.ended(error)
        reject(error ?? problem('protocol_error', 'the client left before it was logged in'))
      },
    })
    const patience = (milliseconds: number): NodeJS.Timeout =>
      setTimeout(() => transport.fail(problem('timeout', 'the client did not log in in time')), milliseconds)
    let grace = patience(options.graceMilliseconds)
    const connection = createConnection(transport, options)
    const authentication = authenticateClient(
      transport,
      options.judge,
      {
        accepted(user) {
          accepted = true
          clearTimeout(grace)
          resolve({connection, user})
          transport.holdTurn()
        },
        refused: (username, error) => options.onRefused?.(username, error),
        proving() {
          clearTimeout(grace)
          grace = patience(typingMilliseconds)
        },
      },
      options.introductions,
    )
  })
}
