import {parseProblemLine, problem, SallyportError} from '../errors/index.js'
import {hostCertificateAlgorithms} from '../sshcert/index.js'
import {peerText} from './peer-text.js'

/** Servers of ours say why in the words of the error itself. */
export function disconnected(description: string | undefined): SallyportError {
  const text = peerText(description ?? '')
  const ours = /^sallyport: (.*)$/.exec(text)?.[1]
  if (ours) return parseProblemLine(ours, 'protocol_error')
  return problem('protocol_error', `the peer ended the connection: ${text || 'no reason given'}`)
}

/**
 * What ssh2 or a parser threw, as an error.
 * @param hostKeyAlgorithms what was offered, to explain why nothing matched
 */
export function transportProblem(thrown: unknown, hostKeyAlgorithms: readonly string[] = []): SallyportError {
  if (thrown instanceof SallyportError) return thrown
  const message = thrown instanceof Error ? thrown.message : String(thrown)
  if (/no matching host key format/i.test(message) && onlyCertificates(hostKeyAlgorithms)) {
    const text = 'remote host presented a public key, expected a host certificate'
    return problem('host_key_refused', text, {cause: thrown})
  }
  // Not an opinion of ssh2 but a stumble over bytes that make no sense.
  if (thrown instanceof TypeError || thrown instanceof RangeError) {
    return problem('protocol_error', 'the peer sent what is not SSH', {cause: thrown})
  }
  const lowered = message.charAt(0).toLowerCase() + message.slice(1)
  return problem('protocol_error', lowered, {cause: thrown})
}

const onlyCertificates = (algorithms: readonly string[]): boolean =>
  algorithms.length > 0 && algorithms.every(name => hostCertificateAlgorithms.includes(name))
