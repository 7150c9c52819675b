import {problem} from '../../errors/index.js'
import type {HostIdentity} from '../../ssh/index.js'
import {
  checkCertificate,
  hostRoleOf,
  parseCertificate,
  signData,
  verifySignature,
  WireReader,
  WireWriter,
} from '../../sshcert/index.js'

/**
 * Global request by which a recording forwarder shows a node who it is, before it opens anything: string host
 * certificate, string signature. No reply is wanted; servers that do not know it ignore it (RFC 4254 §4).
 */
export const forwarderProofRequest = 'forwarder-proof@sallyport'

/** No exchange hash has fewer bytes; a connection without one proves nothing. */
const minSessionIdBytes = 20

/**
 * What is signed: the name of the request and the exchange hash of this very connection, to which both ends have
 * contributed, so that a proof is worth nothing on any other. Its first string is of a length that no hash has: nothing
 * else that the key signs can be taken for it.
 */
function proofData(sessionId: Buffer, name = forwarderProofRequest, statement?: Buffer): Buffer {
  if (sessionId.length < minSessionIdBytes)
    throw problem('protocol_error', 'the connection has no session identifier')
  const data = new WireWriter().string(name).string(sessionId)
  return (statement ? data.string(statement) : data).finish()
}

/** The data of the request. @param identity a host certificate of the proxy's, and its key */
export const makeForwarderProof = ({privateKey, publicBlob}: HostIdentity, sessionId: Buffer): Buffer =>
  new WireWriter()
    .string(publicBlob)
    .string(signData(privateKey, proofData(sessionId)))
    .finish()

export interface ProofPolicy {
  /** Public blobs of the host authorities. */
  authorities: readonly Buffer[]
  /** Of the connection on which the proof came. */
  sessionId: Buffer
  /** Unix ms. */
  now: number
}

/**
 * Decides whether the peer of this connection is a proxy of the cluster. Pure; returns normally or throws. The auth
 * service gives certificates that say `x-teleport-role: Proxy` to its proxies alone.
 * @throws certificate_rejected, certificate_expired, clock_skew, protocol_error
 */
export function checkForwarderProof(data: Buffer, policy: ProofPolicy): void {
  const reader = new WireReader(data)
  const proof = {certificate: reader.string(), signature: reader.string()}
  reader.end()
  checkProof(proof, proofData(policy.sessionId), policy)
}

function checkProof(
  proof: {certificate: Buffer; signature: Buffer},
  signed: Buffer,
  {authorities, now}: ProofPolicy,
): void {
  const certificate = parseCertificate(proof.certificate)
  checkCertificate(certificate, {kind: 'host', authorities, now})
  if (hostRoleOf(certificate).role !== 'Proxy')
    throw problem('certificate_rejected', 'certificate rejected: it is not of a proxy')
  if (!verifySignature(certificate.publicKey, signed, proof.signature))
    throw problem('certificate_rejected', 'certificate rejected: the proof is not of this connection')
}

/**
 * Method of authentication by which a recording forwarder tells a node, before it logs in, what it has seen to itself:
 * string host certificate, string statement, string signature. The statement is string user, bool second factor, string
 * address. It is answered with a partial success; servers that do not know it answer with a failure (RFC 4252 §5.1).
 */
export const forwarderWordMethod = 'forwarder-word@sallyport'

/** What a forwarder vouches for, where the node cannot look. */
export interface ForwarderWord {
  /** Whose connection ends at the forwarder. */
  user: string
  /** The user has shown a second factor on it. */
  secondFactor: boolean
  /** IP address that the user comes from. */
  address: string
}

const maxWordBytes = 1024

/** The data of the method. @param identity a host certificate of the proxy's, and its key */
export function makeForwarderWord(
  {privateKey, publicBlob}: HostIdentity,
  sessionId: Buffer,
  {user, secondFactor, address}: ForwarderWord,
): Buffer {
  const statement = new WireWriter().string(user).bool(secondFactor).string(address).finish()
  const signature = signData(privateKey, proofData(sessionId, forwarderWordMethod, statement))
  return new WireWriter().string(publicBlob).string(statement).string(signature).finish()
}

/**
 * What the peer of this connection vouches for, when it is a proxy of the cluster. Pure.
 * @throws certificate_rejected, certificate_expired, clock_skew, protocol_error
 */
export function checkForwarderWord(data: Buffer, policy: ProofPolicy): ForwarderWord {
  const reader = new WireReader(data)
  const certificate = reader.string()
  const statement = reader.string()
  const signature = reader.string()
  reader.end()
  if (statement.length > maxWordBytes) throw problem('protocol_error', 'the word of a forwarder is too long')
  checkProof({certificate, signature}, proofData(policy.sessionId, forwarderWordMethod, statement), policy)
  const words = new WireReader(statement)
  const word = {user: words.text(), secondFactor: words.bool(), address: words.text()}
  words.end()
  return word
}
