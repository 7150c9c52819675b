import {createServer, type IncomingMessage, type ServerResponse} from 'node:http'
import type {Duplex} from 'node:stream'
import {pipeline} from 'node:stream/promises'
import {asProblem, type Log, problem, type SallyportError} from '../../errors/index.js'
import type {AuthService, Caller} from '../contract.js'
import {methodInputs} from './method-inputs.js'
import {isRemoteMethod, type RemoteMethod} from './remote-methods.js'
import {readAll} from './wire.js'

const maxBodyBytes = 1024 * 1024
const requestMilliseconds = 30_000
const maxHeaderBytes = 16 * 1024

export interface ApiServer {
  /** Serves the API to `caller` on a connected stream until it ends. */
  attach(stream: Duplex, caller: Caller): void
  close(): void
}

/**
 * The auth API over HTTP/1.1 and JSON: `POST /v1/<method>` with `{"input": …}` answers `{"result": …}` or
 * `{"error": {code, message, hint}}`. Who calls is decided by the stream the request came on, never by the request.
 */
export function createApiServer(service: AuthService, log: Pick<Log, 'error'>): ApiServer {
  const callers = new WeakMap<object, Caller>()
  const server = createServer(
    {maxHeaderSize: maxHeaderBytes, requestTimeout: requestMilliseconds},
    (request, response) => {
      const caller = callers.get(request.socket)
      if (!caller) {
        request.destroy()
        return
      }
      handle(service, caller, request, response).catch(error => {
        const failure = asProblem(error)
        if (failure.code === 'internal') log.error({err: error, path: request.url}, 'API call failed')
        if (response.headersSent) response.destroy()
        else sendError(response, failure)
      })
    },
  )
  const streams = new Set<Duplex>()
  return {
    attach(stream, caller) {
      callers.set(stream, caller)
      streams.add(stream)
      stream.on('close', () => streams.delete(stream))
      // Node's HTTP server takes any duplex that looks enough like a socket.
      server.emit('connection', Object.assign(stream, socketMethods(stream)))
    },
    close() {
      for (const stream of streams) stream.destroy()
      server.close()
    },
  }
}

/** What node:http expects of a socket besides being a stream; a channel has no timers and no Nagle to switch off. */
function socketMethods(stream: Duplex): object {
  if ('setTimeout' in stream) return {}
  const self = (): Duplex => stream
  return {setTimeout: self, setNoDelay: self, setKeepAlive: self, ref: self, unref: self}
}

async function handle(
  service: AuthService,
  caller: Caller,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const method = /^\/v1\/([A-Za-z]+)$/.exec(request.url ?? '')?.[1] ?? ''
  if (request.method !== 'POST' || !isRemoteMethod(method))
    throw problem('not_found', 'the API has no such method')
  const input = readInput(method, await readBody(request))
  const api = service.as(caller)
  if (method === 'openRecording') {
    const {summary, data} = await api.openRecording(input as string)
    response.writeHead(200, {'content-type': 'application/octet-stream'})
    response.write(`${JSON.stringify(summary)}\n`)
    return pipeline(data, response)
  }
  const call = api[method] as (input: unknown) => Promise<unknown>
  send(response, 200, {result: await call(input)})
}

function readInput(method: RemoteMethod, body: string): unknown {
  let parsed: unknown
  try {
    parsed = body === '' ? {} : JSON.parse(body)
  } catch (cause) {
    throw problem('invalid_input', 'the request is not JSON', {cause})
  }
  const checked = methodInputs[method].safeParse((parsed as {input?: unknown} | null)?.input)
  if (checked.success) return checked.data
  const [issue] = checked.error.issues
  const where = issue?.path.join('.')
  throw problem(
    'invalid_input',
    `the request is not valid: ${where ? `${where}: ` : ''}${issue?.message ?? ''}`,
  )
}

const readBody = async (request: IncomingMessage): Promise<string> =>
  (await readAll(request, maxBodyBytes, 'the request is over 1 MB')).toString('utf8')

/** The words of an unforeseen error may hold anything, so they stay in the log. */
function sendError(response: ServerResponse, {code, message, hint}: SallyportError): void {
  const shown =
    code === 'internal'
      ? {code, message: 'the service met an error it did not expect'}
      : {code, message, hint}
  send(response, code === 'internal' ? 500 : 400, {error: shown})
}

function send(response: ServerResponse, status: number, body: object): void {
  const text = JSON.stringify(body)
  response.writeHead(status, {'content-type': 'application/json', 'content-length': Buffer.byteLength(text)})
  response.end(text)
}
