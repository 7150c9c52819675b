import {Agent, type ClientRequestArgs, request as httpRequest, type IncomingMessage} from 'node:http'
import type {Duplex} from 'node:stream'
import {isErrorCode, problem, SallyportError} from '../../errors/index.js'
import {readRecordingAnswer} from './recording-answer.js'
import {type RemoteAuthApi, type RemoteMethod, remoteMethods} from './remote-methods.js'
import {readAll} from './wire.js'

/** Answers are lists of records; a server that sends more is broken or hostile. */
const maxAnswerBytes = 64 * 1024 * 1024
const answerMilliseconds = 60_000

export interface AuthClient extends RemoteAuthApi {
  close(): void
}

/** The auth API through a stream that `connect` opens: the admin socket, or a channel of a proxy connection. */
export function createAuthClient({connect}: {connect: () => Promise<Duplex>}): AuthClient {
  const agent = new StreamAgent(connect)
  const call = async (method: RemoteMethod, input: unknown): Promise<unknown> => {
    const answer = await post(agent, method, input)
    return readResult(await readAnswer(answer))
  }
  const methods = Object.fromEntries(
    remoteMethods.map(method => [method, (input: unknown) => call(method, input)]),
  ) as unknown as RemoteAuthApi
  return {
    ...methods,
    async openRecording(sid) {
      return readRecordingAnswer(bytesOf(await post(agent, 'openRecording', sid)))
    },
    close: () => agent.destroy(),
  }
}

/** An HTTP agent whose connections come from us. */
class StreamAgent extends Agent {
  readonly #connect: () => Promise<Duplex>
  readonly #streams = new Set<Duplex>()

  constructor(connect: () => Promise<Duplex>) {
    super({keepAlive: false})
    this.#connect = connect
  }

  override createConnection(
    _options: ClientRequestArgs,
    callback?: (error: Error | null, stream: Duplex) => void,
  ): Duplex | null | undefined {
    this.#connect().then(
      stream => {
        this.#streams.add(stream)
        stream.on('close', () => this.#streams.delete(stream))
        callback?.(null, stream)
      },
      error => callback?.(error, undefined as never),
    )
    return undefined
  }

  override destroy(): void {
    for (const stream of this.#streams) stream.destroy()
    super.destroy()
  }
}

function post(agent: Agent, method: RemoteMethod, input: unknown): Promise<IncomingMessage> {
  const body = JSON.stringify({input})
  const headers = {'content-type': 'application/json', 'content-length': Buffer.byteLength(body)}
  return new Promise((resolve, reject) => {
    const request = httpRequest(
      {agent, host: 'auth', method: 'POST', path: `/v1/${method}`, headers},
      answer => {
        clearTimeout(timer)
        if (answer.statusCode === 200) return resolve(answer)
        readAnswer(answer).then(text => reject(readError(text)), reject)
      },
    )
    const timer = setTimeout(
      () => request.destroy(problem('timeout', 'the auth service did not answer in a minute')),
      answerMilliseconds,
    )
    request.on('error', error => {
      clearTimeout(timer)
      reject(connectionProblem(error))
    })
    request.end(body)
  })
}

const readAnswer = (answer: IncomingMessage): Promise<Buffer> =>
  readAll(bytesOf(answer), maxAnswerBytes, 'the answer of the auth service is over 64 MB')

/** The bytes of an answer; what cuts them off is an error of ours. */
async function* bytesOf(answer: IncomingMessage): AsyncGenerator<Buffer> {
  try {
    for await (const chunk of answer as AsyncIterable<Buffer>) yield chunk
  } catch (error) {
    throw connectionProblem(error)
  }
}

/** An error below the API: of the connection, or of a peer that does not speak HTTP. */
function connectionProblem(error: unknown): SallyportError {
  if (error instanceof SallyportError) return error
  const code = error instanceof Error && 'code' in error ? String(error.code) : ''
  return code.startsWith('HPE_')
    ? notOurProtocol(error)
    : problem('unavailable', 'the connection to the auth service was lost', {
        hint: 'try again; if it happens again, see the log of the service',
        cause: error,
      })
}

const notOurProtocol = (cause?: unknown): SallyportError =>
  problem('protocol_error', 'the auth service answered with something that is not its protocol', {cause})

function readResult(body: Buffer): unknown {
  try {
    return (JSON.parse(body.toString('utf8')) as {result?: unknown}).result
  } catch (cause) {
    throw notOurProtocol(cause)
  }
}

function readError(body: Buffer): SallyportError {
  try {
    const {code, message, hint} = (JSON.parse(body.toString('utf8')) as {error: Record<string, unknown>})
      .error
    if (typeof code === 'string' && isErrorCode(code) && typeof message === 'string') {
      return problem(code, message, typeof hint === 'string' ? {hint} : {})
    }
  } catch {
    // Not an answer of ours: the error below says so.
  }
  return notOurProtocol()
}
