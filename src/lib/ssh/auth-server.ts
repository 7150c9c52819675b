import {asProblem, problem, problemLine, type SallyportError} from '../errors/index.js'
import {
  type Certificate,
  certificateAlgorithms,
  parseCertificate,
  verifySignature,
  WireReader,
  WireWriter,
} from '../sshcert/index.js'
import {disconnectReason, message} from './messages.js'
import type {Transport} from './transport.js'

/** Decides whether the holder of this certificate may come in as `username`; throws the reason if not. */
export type CertificateJudge = (username: string, certificate: Certificate) => void | Promise<void>

export interface AcceptedUser {
  username: string
  /** The certificate whose key signed, checked by the judge in the same attempt. */
  certificate: Certificate
}

export interface ServerAuthentication {
  /** Messages until authentication has succeeded. */
  receive(payload: Buffer): void
}

/** Signed attempts and offered keys that are refused before the connection ends, like sshd's MaxAuthTries. */
const maxFailures = 10
/** A client that sends ahead of our answers is not a client we know. */
const maxQueuedRequests = 4

/**
 * The server's half of user authentication (RFC 4252): publickey with a certificate, nothing else. The one place that
 * turns an attempt into an identity. A certificate is judged anew at the signed attempt; an earlier query counts for
 * nothing. Why a certificate was refused is told in a banner, since the protocol itself has no words for it.
 */
export function authenticateClient(
  transport: Transport,
  judge: CertificateJudge,
  done: {accepted: (user: AcceptedUser) => void; refused: (username: string, error: SallyportError) => void},
): ServerAuthentication {
  let serviceGranted = false
  let username: string | undefined
  let failures = 0
  let finished = false
  let explained = false
  const queue: Buffer[] = []
  let busy = false

  const end = (error: SallyportError): void => {
    finished = true
    transport.fail(error)
  }
  const refuse = (user: string, error: SallyportError | undefined): void => {
    if (error && !explained) {
      explained = true
      const text = `sallyport: ${problemLine(error)}\r\n`
      transport.send(new WireWriter().u8(message.userauthBanner).string(text).string('').finish())
    }
    if (error) done.refused(user, error)
    transport.send(new WireWriter().u8(message.userauthFailure).string('publickey').bool(false).finish())
    if (++failures >= maxFailures) {
      finished = true
      transport.disconnect(disconnectReason.noMoreAuthMethods)
    }
  }
  const accept = (user: AcceptedUser): void => {
    finished = true
    transport.send(new WireWriter().u8(message.userauthSuccess).finish())
    done.accepted(user)
  }

  const handle = async (payload: Buffer): Promise<void> => {
    const request = readRequest(payload)
    username ??= request.username
    if (request.username !== username)
      throw problem('protocol_error', 'the user name changed between attempts')
    if (request.service !== 'ssh-connection')
      throw problem('protocol_error', 'an unknown service was asked for')
    if (request.method !== 'publickey') return refuse(username, undefined)
    const attempt = readPublicKey(request.reader)
    const outcome = await judgeAttempt(attempt, payload, transport.sessionId(), username, judge)
    if (outcome instanceof Error) return refuse(username, outcome)
    if (outcome === undefined) return refuse(username, undefined)
    if (attempt.signature) return accept({username, certificate: outcome})
    const {algorithm, blob} = attempt
    transport.send(new WireWriter().u8(message.userauthPkOk).string(algorithm).string(blob).finish())
  }

  const next = (): void => {
    const payload = queue.shift()
    if (busy || !payload || finished) return
    busy = true
    handle(payload).then(
      () => {
        busy = false
        next()
      },
      error => end(asProblem(error, 'protocol_error')),
    )
  }

  return {
    receive(payload) {
      if (finished) return
      const type = payload[0]
      if (type === message.extInfo) return
      if (type === message.serviceRequest && !serviceGranted) {
        const service = new WireReader(payload.subarray(1)).text()
        if (service !== 'ssh-userauth')
          return end(problem('protocol_error', 'an unknown service was asked for'))
        serviceGranted = true
        transport.send(new WireWriter().u8(message.serviceAccept).string(service).finish())
        return
      }
      if (type !== message.userauthRequest || !serviceGranted || queue.length >= maxQueuedRequests) {
        return end(problem('protocol_error', 'a message came that has no place before authentication'))
      }
      queue.push(Buffer.from(payload))
      next()
    },
  }
}

interface UserauthRequest {
  username: string
  service: string
  method: string
  reader: WireReader
}

function readRequest(payload: Buffer): UserauthRequest {
  const reader = new WireReader(payload.subarray(1))
  const username = reader.text()
  if (username.length > 255) throw problem('protocol_error', 'the user name is too long')
  return {username, service: reader.text(), method: reader.text(), reader}
}

interface PublicKeyAttempt {
  algorithm: string
  blob: Buffer
  /** Absent in a query, which only asks whether the key would do. */
  signature?: Buffer
}

function readPublicKey(reader: WireReader): PublicKeyAttempt {
  const signed = reader.bool()
  const algorithm = reader.text()
  const blob = reader.string()
  const signature = signed ? reader.string() : undefined
  reader.end()
  return {algorithm, blob, ...(signature && {signature})}
}

/**
 * The certificate when it may come in, the reason as an error when it is one of ours but may not, and undefined for
 * keys that are of no interest, such as the other keys in a user's agent.
 */
async function judgeAttempt(
  {algorithm, blob, signature}: PublicKeyAttempt,
  payload: Buffer,
  sessionId: Buffer,
  username: string,
  judge: CertificateJudge,
): Promise<Certificate | SallyportError | undefined> {
  const expected = certificateAlgorithms[algorithm]
  if (!expected) return undefined
  try {
    const certificate = parseCertificate(blob)
    if (certificate.type !== expected.blob) {
      throw problem('certificate_rejected', 'certificate rejected: its type is not the one announced')
    }
    await judge(username, certificate)
    if (!signature) return certificate
    // RFC 4252 §7: the signature covers the session id and the request up to the signature itself.
    const signed = payload.subarray(0, payload.length - signature.length - 4)
    const data = new WireWriter().string(sessionId).raw(signed).finish()
    if (!verifySignature(certificate.publicKey, data, signature, [expected.signature])) {
      throw problem('certificate_rejected', 'certificate rejected: the signature by its key is wrong')
    }
    return certificate
  } catch (error) {
    return asProblem(error, 'certificate_rejected')
  }
}
