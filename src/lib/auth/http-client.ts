import {Agent, type ClientRequestArgs, request as httpRequest, type IncomingMessage} from 'node:http'
import type {Duplex} from 'node:stream'
import {isErrorCode, problem, type SallyportError} from '../errors/index.js'
import type {RecordingSummary} from '../recording/types.js'
import type {AuthApi} from './contract.js'
import {type RemoteAuthApi, type RemoteMethod, remoteMethods, summaryHeader} from './remote-methods.js'

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
    const body = JSON.parse((await readAll(answer)).toString('utf8')) as {result?: unknown}
    return body.result
  }
  const methods = Object.fromEntries(
    remoteMethods.map(method => [method, (input: unknown) => call(method, input)]),
  ) as unknown as RemoteAuthApi
  return {
    ...methods,
    async openRecording(sid) {
      const answer = await post(agent, 'openRecording', sid)
      const header = answer.headers[summaryHeader]
      if (typeof header !== 'string')
        throw problem('protocol_error', 'the service sent no summary of the recording')
      const summary = JSON.parse(Buffer.from(header, 'base64').toString('utf8')) as RecordingSummary
      return {summary, data: answer} satisfies Awaited<ReturnType<AuthApi['openRecording']>>
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
        readAll(answer).then(text => reject(readError(text)), reject)
      },
    )
    const timer = setTimeout(
      () => request.destroy(problem('timeout', 'the auth service did not answer in a minute')),
      answerMilliseconds,
    )
    request.on('error', error => {
      clearTimeout(timer)
      reject(error)
    })
    request.end(body)
  })
}

async function readAll(answer: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of answer as AsyncIterable<Buffer>) {
    size += chunk.length
    if (size > maxAnswerBytes) throw problem('limit_exceeded', 'the answer of the auth service is over 64 MB')
    chunks.push(chunk)
  }
  return Buffer.concat(chunks)
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
  return problem('protocol_error', 'the auth service answered with something that is not its protocol')
}
