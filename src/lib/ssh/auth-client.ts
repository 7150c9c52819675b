import {asProblem, parseProblemLine, problem, type SallyportError} from '../errors/index.js'
import {
  algorithmForCertificate,
  blobType,
  certificateAlgorithms,
  certificateTypes,
  type Signer,
  signatureAlgorithms,
  WireReader,
  WireWriter,
} from '../sshcert/index.js'
import {message} from './messages.js'
import {peerText} from './peer-text.js'
import type {Transport} from './transport.js'

/** A key to log in with: a certificate or plain public blob, and who signs for it. */
export interface Credential {
  blob: Buffer
  signer: Pick<Signer, 'sign'>
}

/** What a server asks of a person (RFC 4256), in characters that a terminal takes for no commands. */
export interface Question {
  instruction: string
  prompt: string
  /** The answer may be seen as it is typed. */
  echo: boolean
}

export interface LoginWish {
  username: string
  /** Asked once the host is verified; tried in order, at most six. */
  credentials: () => Promise<readonly Credential[]>
  /** Answers what is asked besides a certificate; without it, such a host refuses. */
  answer?: (question: Question) => Promise<string>
  /** Sent first, for a server that knows the method; what it says to it does not matter. */
  introduction?: {method: string; data(sessionId: Buffer): Buffer}
}

export interface ClientAuthentication {
  start(): void
  /** @throws protocol_error for what has no place in authentication */
  receive(payload: Buffer): void
  /** The connection has ended: no credential is asked for or used any more. */
  stop(): void
  /** Why the host refused, in its own words, where it gave some. */
  reason(): SallyportError | undefined
}

/** sshd closes the connection after six failures by default (MaxAuthTries). */
const maxAttempts = 6
const maxBannerBytes = 8 * 1024

const maxQuestions = 4
const maxQuestionBytes = 4 * 1024
/** Times that a server may refuse what a person has typed, as with stock clients. */
const maxAnswers = 3

/** What the server may answer now. */
type Awaiting = 'nothing' | 'service' | 'introduction' | 'verdict' | 'question'

/**
 * The client's half of user authentication (RFC 4252): tries each credential once, in order, with a signed request at
 * once, which saves a round trip for each; a host that asks for more then gets its answers (RFC 4256). `done` is called with undefined on success.
 */
export function authenticateToServer(
  transport: Transport,
  {username, credentials, answer, introduction}: LoginWish,
  done: (error: SallyportError | undefined) => void,
): ClientAuthentication {
  let awaiting: Awaiting = 'nothing'
  let remaining: Credential[] = []
  let tried = 0
  let answersLeft = maxAnswers
  let banner = ''
  let finished = false

  const finish = (error: SallyportError | undefined): void => {
    if (finished) return
    finished = true
    done(error)
  }
  const expect = (what: Awaiting): void => {
    if (awaiting !== what) throw problem('protocol_error', 'the host answered what it was not asked')
    awaiting = 'nothing'
  }
  const attempt = async (credential: Credential): Promise<void> => {
    const request = await signedRequest(transport.sessionId(), username, credential)
    if (finished) return
    awaiting = 'verdict'
    transport.send(request)
  }
  const tryNext = (): void => {
    const credential = remaining.shift()
    if (finished) return
    if (!credential) return finish(refusal(username, tried, banner))
    tried++
    attempt(credential).catch(error => {
      // An agent that will not sign with one key may sign with the next.
      if (remaining.length > 0) tryNext()
      else finish(asProblem(error, 'agent_required'))
    })
  }
  const begin = async (): Promise<void> => {
    try {
      remaining = (await credentials()).slice(0, maxAttempts)
    } catch (error) {
      return finish(asProblem(error, 'agent_required'))
    }
    tryNext()
  }
  const request = (method: string): WireWriter =>
    new WireWriter().u8(message.userauthRequest).string(username).string('ssh-connection').string(method)
  const introduce = (): void => {
    if (!introduction) return void begin()
    awaiting = 'introduction'
    transport.send(request(introduction.method).string(introduction.data(transport.sessionId())).finish())
  }
  const failed = (payload: Buffer): void => {
    const reader = new WireReader(payload.subarray(1))
    const methods = reader.string().toString('latin1').split(',')
    const [asked, partial] = [awaiting === 'question', reader.bool()]
    if (awaiting === 'introduction') {
      awaiting = 'nothing'
      return void begin()
    }
    expect(asked ? 'question' : 'verdict')
    const mayAnswer = answer && methods.includes('keyboard-interactive') && (partial || asked)
    if (mayAnswer && answersLeft-- > 0) {
      awaiting = 'question'
      transport.send(request('keyboard-interactive').string('').string('').finish())
    } else if (methods.includes('publickey') && !asked) tryNext()
    else finish(refusal(username, tried, banner))
  }
  const reply = async (questions: readonly Question[]): Promise<void> => {
    const answers: string[] = []
    for (const question of questions) answers.push((await answer?.(question)) ?? '')
    if (finished) return
    awaiting = 'question'
    const response = new WireWriter().u8(message.userauthInfoResponse).u32(answers.length)
    transport.send(answers.reduce((writer, text) => writer.string(text), response).finish())
  }

  return {
    start() {
      awaiting = 'service'
      transport.send(new WireWriter().u8(message.serviceRequest).string('ssh-userauth').finish())
    },
    receive(payload) {
      if (finished) return
      switch (payload[0]) {
        case message.serviceAccept:
          expect('service')
          return introduce()
        case message.userauthSuccess:
          expect(awaiting === 'question' ? 'question' : 'verdict')
          return finish(undefined)
        case message.userauthInfoRequest:
          expect('question')
          return void reply(readQuestions(payload)).catch(error => finish(asProblem(error)))
        case message.userauthFailure:
          return failed(payload)
        case message.userauthBanner:
          if (banner.length < maxBannerBytes)
            banner += new WireReader(payload.subarray(1)).string().toString('utf8')
          return
        case message.extInfo:
          return
        default:
          throw problem('protocol_error', 'the host sent a message that has no place before authentication')
      }
    },
    stop() {
      finished = true
    },
    reason() {
      const line = explanationIn(banner)
      // Without a code it is a notice.
      return line !== undefined && /\[[a-z_]+\]\s*$/.test(line) ? explained(line) : undefined
    },
  }
}

/** string name, string instruction, string language, then as many prompts as it says (RFC 4256 §3.2). */
function readQuestions(payload: Buffer): Question[] {
  const reader = new WireReader(payload.subarray(1))
  const read = (): string => {
    const bytes = reader.string()
    if (bytes.length > maxQuestionBytes) throw problem('protocol_error', 'the host asks too long a question')
    return peerText(bytes.toString('utf8'))
  }
  read()
  const instruction = read()
  read()
  const count = reader.u32()
  if (count > maxQuestions) throw problem('protocol_error', 'the host asks too many questions')
  return Array.from({length: count}, () => ({instruction, prompt: read(), echo: reader.bool()}))
}

/** A publickey request with the signature over it and the session (RFC 4252 §7). */
async function signedRequest(
  sessionId: Buffer,
  username: string,
  {blob, signer}: Credential,
): Promise<Buffer> {
  const {algorithm, format} = algorithmFor(blob)
  const request = new WireWriter()
    .u8(message.userauthRequest)
    .string(username)
    .string('ssh-connection')
    .string('publickey')
    .bool(true)
    .string(algorithm)
    .string(blob)
    .finish()
  const signature = await signer.sign(new WireWriter().string(sessionId).raw(request).finish(), format)
  return new WireWriter().raw(request).string(signature).finish()
}

function algorithmFor(blob: Buffer): {algorithm: string; format: string} {
  const type = blobType(blob)
  if (type in certificateTypes) {
    const algorithm = algorithmForCertificate(type)
    return {algorithm, format: certificateAlgorithms[algorithm]?.signature ?? algorithm}
  }
  const algorithm = signatureAlgorithms[type]?.[0] ?? type
  return {algorithm, format: algorithm}
}

/** The last line by which a Sallyport server explains itself. */
const explanationIn = (banner: string): string | undefined =>
  [...banner.matchAll(/^sallyport: (.*)$/gm)].at(-1)?.[1]

const explained = (line: string): SallyportError => parseProblemLine(peerText(line), 'access_denied')

/** A Sallyport server explains itself in a banner; that explanation is the error. Others only say no. */
function refusal(username: string, tried: number, banner: string): SallyportError {
  const line = explanationIn(banner)
  if (line) return explained(line)
  const offered =
    tried === 0 ? 'there was no certificate to offer' : 'none of the certificates offered was accepted'
  return problem('target_refused', `the host refused to log in ${JSON.stringify(username)}: ${offered}`, {
    hint: 'check that the host trusts the user CA (TrustedUserCAKeys) and that the login exists there',
  })
}
