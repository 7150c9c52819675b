import type {Duplex} from 'node:stream'
import {problem} from '../errors/index.js'
import type {AlgorithmChoice} from './algorithms.js'
import {authenticateToServer, type LoginWish} from './auth-client.js'
import {type ConnectionOptions, createConnection, type SshConnection} from './connection.js'
import type {PresentedHostKey} from './host-keys.js'
import type {RekeyLimits} from './rekey-policy.js'
import {whenReady} from './ssh2-protocol.js'
import {createTransport} from './transport.js'

export interface ConnectOptions extends ConnectionOptions, LoginWish {
  /** Connected to the host's SSH port. */
  stream: Duplex
  /** Rejects to refuse the host. */
  verifyHostKey(key: PresentedHostKey): Promise<void>
  /** Host key algorithms to ask for; default: certificates only. */
  hostKeyAlgorithms?: readonly string[]
  algorithms?: AlgorithmChoice
  /** When to exchange new keys; default: after a gigabyte or an hour. */
  rekey?: RekeyLimits
  /** Time for key exchange and authentication together; while somebody types, it does not run. */
  timeoutMilliseconds: number
}

/**
 * Logs in to an SSH server over `stream`. The handlers of the connection must be set in the same turn of the event
 * loop in which the promise resolves.
 * @throws host_key_refused, target_refused, agent_required, timeout, protocol_error
 */
export const connect = (options: ConnectOptions): Promise<SshConnection> => whenReady(() => logIn(options))

function logIn(options: ConnectOptions): Promise<SshConnection> {
  return new Promise((resolve, reject) => {
    let accepted = false
    let ended = false
    const transport = createTransport({
      stream: options.stream,
      role: {
        kind: 'client',
        verifyHostKey: options.verifyHostKey,
        ...(options.hostKeyAlgorithms && {hostKeyAlgorithms: options.hostKeyAlgorithms}),
      },
      ...(options.algorithms && {algorithms: options.algorithms}),
      ...(options.rekey && {rekey: options.rekey}),
      onReady: () => authentication.start(),
      onMessage: payload => (accepted ? connection.receive(payload) : authentication.receive(payload)),
      onDrain: () => connection.drained(),
      onClose: error => {
        ended = true
        clearTimeout(timer)
        authentication.stop()
        connection.ended(error)
        reject(
          authentication.reason() ??
            error ??
            problem('protocol_error', 'handshake failed: the host closed the connection'),
        )
      },
    })
    const startTimer = (): NodeJS.Timeout =>
      setTimeout(
        () => transport.fail(problem('timeout', 'the host did not complete the SSH handshake in time')),
        options.timeoutMilliseconds,
      )
    let timer = startTimer()
    const {answer} = options
    const unhurried: LoginWish['answer'] =
      answer &&
      (async question => {
        clearTimeout(timer)
        const text = await answer(question)
        if (!ended) timer = startTimer()
        return text
      })
    const connection = createConnection(transport, options)
    const wish = {...options, ...(unhurried && {answer: unhurried})}
    const authentication = authenticateToServer(transport, wish, error => {
      clearTimeout(timer)
      if (error) return transport.fail(error)
      accepted = true
      resolve(connection)
      transport.holdTurn()
    })
  })
}
