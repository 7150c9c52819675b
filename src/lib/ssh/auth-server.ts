import {asProblem, problem, problemLine, SallyportError} from '../errors/index.js'
import {
  type Certificate,
  certificateAlgorithms,
  parseCertificate,
  verifySignature,
  WireReader,
  WireWriter,
} from '../sshcert/index.js'
import {disconnectReason, message} from './messages.js'
import {type SecondFactor, type SecondFactorExchange, secondFactorExchange} from './second-factor.js'
import type {Transport} from './transport.js'

/**
 * Decides whether the holder of this certificate may come in as `username`, and demands what has to be shown besides;
 * throws the reason if not.
 */
export type CertificateJudge = (
  username: string,
  certificate: Certificate,
  demand: (factor: SecondFactor) => void,
) => void | Promise<void>

/** A method of our own by which peers may say something of themselves before they log in (RFC 4252 §5, §4). */
export interface Introductions {
  /** `name@domain` */
  method: string
  /** @throws why it is not believed */
  receive(data: Buffer, sessionId: Buffer): void
}

export interface AcceptedUser {
  username: string
  /** The certificate whose key signed, checked by the judge in the same attempt. */
  certificate: Certificate
}

interface AuthenticationOutcome {
  accepted(user: AcceptedUser): void
  refused(username: string, error: SallyportError): void
  /** The certificate will do; now somebody has to type. */
  proving(): void
}

export interface ServerAuthentication {
  /** Messages until authentication has succeeded. @throws protocol_error for what has no place in it */
  receive(payload: Buffer): void
  /** The connection has ended: a judgement under way counts for nothing. */
  stop(): void
}

/** Refused certificates and attempts before the connection ends, like sshd's MaxAuthTries. */
const maxFailures = 10
/**
 * Requests in all. Offers of keys that are no certificates count here only, so that an agent full of keys still gets to
 * the right one; a query that succeeds may cost the judge a look into a database.
 */
const maxRequests = 64
/** A client that sends ahead of our answers is not a client we know. */
const maxQueuedRequests = 4
const maxUsernameLength = 255

/**
 * The server's half of user authentication (RFC 4252): publickey with a certificate, and where the judge demands it the
 * answer to a question, after a partial success. The one place that turns an attempt into an identity. A certificate is
 * judged anew at the signed attempt; an earlier query counts for nothing. Why a certificate was refused is told in a
 * banner, since the protocol itself has no words for it.
 */
export function authenticateClient(
  transport: Transport,
  judge: CertificateJudge,
  done: AuthenticationOutcome,
  introductions?: Introductions,
): ServerAuthentication {
  let serviceGranted = false
  let username: string | undefined
  let failures = 0
  let requests = 0
  let finished = false
  let explained = false
  let busy = false
  let introduced = false
  /** Whose certificate will do, and what is still to be shown. */
  let proving: {user: AcceptedUser; exchange: SecondFactorExchange} | undefined
  const queue: Buffer[] = []

  const tell = (line: string): void => {
    const text = `sallyport: ${line}\r\n`
    transport.send(new WireWriter().u8(message.userauthBanner).string(text).string('').finish())
  }
  const sayNo = (partial = false): void => {
    const methods = proving ? 'keyboard-interactive' : 'publickey'
    transport.send(new WireWriter().u8(message.userauthFailure).string(methods).bool(partial).finish())
  }
  const giveUp = (): void => {
    finished = true
    transport.disconnect(disconnectReason.noMoreAuthMethods)
  }
  const refuse = (user: string, error: SallyportError | undefined): void => {
    if (error) {
      // Of many certificates in an agent, the first is the one that was meant.
      if (!explained) tell(problemLine(error))
      explained = true
      done.refused(user, error)
    }
    sayNo()
    if (++failures >= maxFailures) giveUp()
  }
  const accept = (user: AcceptedUser): void => {
    finished = true
    transport.send(new WireWriter().u8(message.userauthSuccess).finish())
    done.accepted(user)
  }

  const prove = (user: AcceptedUser, factor: SecondFactor): void => {
    proving = {user, exchange: secondFactorExchange(transport, factor)}
    tell(factor.notice)
    sayNo(true)
    done.proving()
  }
  const judgeAnswer = async (payload: Buffer): Promise<void> => {
    if (!proving) return
    const {user, exchange} = proving
    const wrong = await exchange.receive(payload)
    if (finished) return
    if (!wrong) return accept(user)
    if (wrong.again) return sayNo()
    done.refused(user.username, wrong.error)
    tell(problemLine(wrong.error))
    sayNo()
    giveUp()
  }
  const introduce = ({reader}: UserauthRequest, {receive}: Introductions): void => {
    const data = reader.string()
    reader.end()
    if (introduced) throw problem('protocol_error', 'a second introduction')
    introduced = true
    receive(data, transport.sessionId())
    sayNo(true)
  }
  const handle = async (payload: Buffer): Promise<void> => {
    if (payload[0] === message.userauthInfoResponse) return judgeAnswer(payload)
    const request = readRequest(payload)
    username ??= request.username
    checkRequest(request, username)
    // How OpenSSH asks which methods there are.
    if (request.method === 'none') return sayNo()
    if (proving)
      return request.method === 'keyboard-interactive' ? proving.exchange.ask() : refuse(username, undefined)
    if (introductions && request.method === introductions.method) return introduce(request, introductions)
    if (request.method !== 'publickey') return refuse(username, undefined)
    const attempt = readPublicKey(request.reader)
    const outcome = await judgeAttempt(attempt, payload, transport.sessionId(), username, judge)
    if (finished) return
    if (outcome === undefined && !attempt.signature) return sayNo()
    if (outcome === undefined || outcome instanceof SallyportError) return refuse(username, outcome)
    const {certificate, factor} = outcome
    if (attempt.signature && factor) return prove({username, certificate}, factor)
    if (attempt.signature) return accept({username, certificate})
    const {algorithm, blob} = attempt
    transport.send(new WireWriter().u8(message.userauthPkOk).string(algorithm).string(blob).finish())
  }
  const next = (): void => {
    if (busy || finished) return
    const payload = queue.shift()
    if (!payload) return
    busy = true
    handle(payload).then(
      () => {
        busy = false
        next()
      },
      error => transport.fail(asProblem(error, 'protocol_error')),
    )
  }
  const grantService = (payload: Buffer): void => {
    const reader = new WireReader(payload.subarray(1))
    const service = reader.text()
    reader.end()
    if (serviceGranted || service !== 'ssh-userauth')
      throw problem('protocol_error', 'an unknown service was asked for')
    serviceGranted = true
    transport.send(new WireWriter().u8(message.serviceAccept).string(service).finish())
  }

  return {
    receive(payload) {
      if (finished || payload[0] === message.extInfo) return
      if (payload[0] === message.serviceRequest) return grantService(payload)
      if (payload[0] === message.userauthInfoResponse && proving?.exchange.asked && queue.length === 0) {
        queue.push(Buffer.from(payload))
        return next()
      }
      if (payload[0] !== message.userauthRequest || !serviceGranted)
        throw problem('protocol_error', 'a message came that has no place before authentication')
      if (queue.length >= maxQueuedRequests || ++requests > maxRequests)
        throw problem('limit_exceeded', 'too many authentication requests')
      queue.push(Buffer.from(payload))
      next()
    },
    stop() {
      finished = true
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
  return {username: reader.text(), service: reader.text(), method: reader.text(), reader}
}

function checkRequest(request: UserauthRequest, username: string): void {
  if (request.username.length > maxUsernameLength)
    throw problem('protocol_error', 'the user name is too long')
  if (request.username !== username) throw problem('protocol_error', 'the user name changed between attempts')
  if (request.service !== 'ssh-connection')
    throw problem('protocol_error', 'an unknown service was asked for')
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

interface Judged {
  certificate: Certificate
  /** What has to be shown besides. */
  factor?: SecondFactor
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
): Promise<Judged | SallyportError | undefined> {
  const expected = certificateAlgorithms[algorithm]
  if (!expected) return undefined
  try {
    const certificate = parseCertificate(blob)
    if (certificate.type !== expected.blob) {
      throw problem('certificate_rejected', 'certificate rejected: its type is not the one announced')
    }
    const outcome: Judged = {certificate}
    await judge(username, certificate, factor => {
      outcome.factor = factor
    })
    if (!signature) return outcome
    // RFC 4252 §7: the signature covers the session id and the request up to the signature itself.
    const signed = payload.subarray(0, payload.length - signature.length - 4)
    const data = new WireWriter().string(sessionId).raw(signed).finish()
    if (!verifySignature(certificate.publicKey, data, signature, [expected.signature])) {
      throw problem('certificate_rejected', 'certificate rejected: the signature by its key is wrong')
    }
    return outcome
  } catch (error) {
    if (error instanceof SallyportError) return error
    // Not a decision but a mishap of ours, whose details are nobody's business out there.
    return problem('internal', 'the certificate could not be checked', {cause: error})
  }
}
