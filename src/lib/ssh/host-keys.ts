import type {KeyObject} from 'node:crypto'
import {problem} from '../errors/index.js'
import {
  blobType,
  type Certificate,
  certificateAlgorithms,
  certificateTypes,
  parseCertificate,
  signatureAlgorithms,
  signData,
  WireReader,
} from '../sshcert/index.js'
import type {HostVerifier, KeyExchange, ServerHostKey, Ssh2Protocol} from './ssh2-protocol.js'

/** A host key we present: the private key, and a certificate over it or its plain public blob. */
export interface HostIdentity {
  privateKey: KeyObject
  /** Certificate blob, or plain public key blob. */
  publicBlob: Buffer
}

/** What a server presented: a certificate, or a plain key. Not yet believed. */
export interface PresentedHostKey {
  /** The blob as received. */
  blob: Buffer
  certificate?: Certificate
}

const algorithmsFor = (type: string): [algorithm: string, signature: string][] =>
  type in certificateTypes
    ? Object.entries(certificateAlgorithms)
        .filter(([, {blob}]) => blob === type)
        .map(([algorithm, {signature}]) => [algorithm, signature])
    : (signatureAlgorithms[type] ?? []).map(algorithm => [algorithm, algorithm])

/**
 * Host keys in the form ssh2's key exchange takes, by algorithm name. ssh2 writes `negotiated.serverHostKey` as the
 * format of the signature right after calling `sign`, so it is set to the format that goes with the certificate.
 */
export function serverHostKeys(
  identities: readonly HostIdentity[],
  currentExchange: () => KeyExchange | undefined,
): Record<string, ServerHostKey> {
  const keys: Record<string, ServerHostKey> = {}
  for (const {privateKey, publicBlob} of identities) {
    for (const [algorithm, format] of algorithmsFor(blobType(publicBlob))) {
      keys[algorithm] ??= {
        // A name ssh2 does not know keeps it from converting the signature.
        type: 'sallyport',
        getPublicSSH: () => publicBlob,
        sign(data) {
          const exchange = currentExchange()
          if (!exchange) return problem('internal', 'host key used outside a key exchange')
          exchange.negotiated.serverHostKey = format
          const signature = new WireReader(signData(privateKey, data, format))
          signature.string()
          return signature.string()
        },
      }
    }
  }
  return keys
}

/**
 * Makes `protocol._kex` call `hook` with each new key exchange, the first and every rekey, before any of its messages
 * is looked at.
 */
export function onKeyExchange(protocol: Ssh2Protocol, hook: (exchange: KeyExchange) => void): void {
  let current = protocol._kex
  Object.defineProperty(protocol, '_kex', {
    configurable: true,
    get: () => current,
    set: (exchange: KeyExchange | undefined) => {
      current = exchange
      if (exchange) hook(exchange)
    },
  })
}

/** A Buffer that hashes as the certificate but which ssh2 parses as the plain key in it (kex.js:590, 673). */
function certificateAsHostKey(certificate: Certificate): Buffer {
  const reader = new WireReader(certificate.publicKey)
  const type = reader.text()
  const fields = reader.rest()
  return Object.assign(Buffer.from(certificate.blob), {
    utf8Slice: () => type,
    slice: () => Buffer.from(fields),
  })
}

export interface HostKeyVerification {
  protocol(): Ssh2Protocol
  /** Rejects to refuse the host. */
  verify(key: PresentedHostKey): Promise<void>
  /** Stops taking messages until the returned function is called. */
  hold(): () => void
  /** Runs what may break the connection, unless it has ended. */
  attempt(action: () => void): void
  refuse(reason: unknown): void
}

/**
 * Teaches an ssh2 client protocol to take host certificates and asks `verify` about the host key. The verdict may take
 * its time, but the exchange has to be prepared at once: ssh2 checks the signature as soon as it sees NEWKEYS. Until
 * the verdict nothing more of the peer is looked at, or it could talk to us, or begin another exchange, unverified.
 * With each later exchange the same key is accepted without asking and any other refused.
 */
export function hostKeyVerifier(parts: HostKeyVerification): {
  hook: (exchange: KeyExchange) => void
  verifier: HostVerifier
} {
  let algorithm = ''
  let known: Buffer | undefined
  const hook = (exchange: KeyExchange): void => {
    algorithm = exchange.negotiated.serverHostKey
    // The blob of an RSA certificate has another name than its algorithm; ssh2 compares the two (kex.js:1170).
    exchange.negotiated.serverHostKey = certificateAlgorithms[algorithm]?.blob ?? algorithm
  }
  const present = (blob: Buffer): PresentedHostKey => {
    const expected = certificateAlgorithms[algorithm]
    const exchange = parts.protocol()._kex
    if (!expected || !exchange) return {blob}
    const certificate = parseCertificate(blob)
    if (certificate.type !== expected.blob)
      throw problem('host_key_refused', 'the host key is not of the agreed type')
    exchange.negotiated.serverHostKey = expected.signature
    exchange._hostKey = certificateAsHostKey(certificate)
    return {blob, certificate}
  }
  const decide = async (key: PresentedHostKey, verdict: (accepted: boolean) => void): Promise<void> => {
    const release = parts.hold()
    const accepted = await Promise.resolve()
      .then(() => parts.verify(key))
      .then(
        () => true,
        error => {
          parts.refuse(error)
          return false
        },
      )
    parts.attempt(() => verdict(accepted))
    release()
  }
  const verifier: HostVerifier = (received, verdict) => {
    const blob = Buffer.from(received)
    try {
      const key = present(blob)
      if (known && !known.equals(blob))
        throw problem('host_key_refused', 'the host changed its key during the session')
      if (known) return true
      known = blob
      void decide(key, verdict)
      return undefined
    } catch (error) {
      parts.refuse(error)
      return false
    }
  }
  return {hook, verifier}
}
