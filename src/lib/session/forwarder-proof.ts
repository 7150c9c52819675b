import {problem} from '../errors/index.js'
import type {HostIdentity} from '../ssh/index.js'
import {
  checkCertificate,
  hostRoleOf,
  parseCertificate,
  signData,
  verifySignature,
  WireReader,
  WireWriter,
} from '../sshcert/index.js'

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
function proofData(sessionId: Buffer): Buffer {
  if (sessionId.length < minSessionIdBytes)
    throw problem('protocol_error', 'the connection has no session identifier')
  return new WireWriter().string(forwarderProofRequest).string(sessionId).finish()
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
export function checkForwarderProof(data: Buffer, {authorities, sessionId, now}: ProofPolicy): void {
  const reader = new WireReader(data)
  const certificate = parseCertificate(reader.string())
  const signature = reader.string()
  reader.end()
  checkCertificate(certificate, {kind: 'host', authorities, now})
  if (hostRoleOf(certificate).role !== 'Proxy')
    throw problem('certificate_rejected', 'certificate rejected: it is not of a proxy')
  if (!verifySignature(certificate.publicKey, proofData(sessionId), signature))
    throw problem('certificate_rejected', 'certificate rejected: the proof is not of this connection')
}
