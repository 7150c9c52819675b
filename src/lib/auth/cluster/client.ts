import type {ClientHttp2Session, ClientHttp2Stream, OutgoingHttpHeaders} from 'node:http2'
import type {Duplex} from 'node:stream'
import {pipeline} from 'node:stream/promises'
import {asProblem, problem, SallyportError} from '../../errors/index.js'
import type {Address} from '../../names/index.js'
import type {RecordingChunk} from '../../recording/types.js'
import {errorFromWire, fromWire, linesOf, readAll, toWire} from '../http/wire.js'
import type {SystemApi} from '../system-api.js'
import {type Credentials, connectToAuth} from './connection.js'
import {onBehalfHeader, userPath} from './paths.js'
import {
  type AnonymousApi,
  anonymousInputs,
  type StreamMethod,
  streamMethods,
  systemInputs,
} from './system-methods.js'

export interface ClusterClientOptions {
  /** Tried in turn, the one that answered last first. */
  servers: readonly Address[]
  /** Asked at each connection: certificates are renewed. */
  credentials(): Credentials
  /** Unix ms. */
  now: () => number
}

/** The auth service of another machine. */
export interface ClusterClient {
  /** As what the certificate says. */
  api: SystemApi
  /** As somebody without a name who came to this proxy's web port from `address`. */
  anonymous(address: string): AnonymousApi
  /** Passes the connection of a user on, until one side ends it. */
  passOn(user: Duplex, opening: {certificate: Buffer; address: string}): Promise<void>
  close(): void
}

const answerMilliseconds = 30_000
/** A chunk of 8 MiB passes a slow line in less. */
const chunkMilliseconds = 60_000
const maxAnswerBytes = 64 * 1024 * 1024
const maxLineBytes = 64 * 1024 * 1024
const firstPauseMilliseconds = 250
const maxPauseMilliseconds = 10_000

/** One connection for all calls, made when it is needed and made anew, with growing pauses, when it was lost. */
export function createClusterClient(options: ClusterClientOptions): ClusterClient {
  const connection = createConnection(options)
  const open = async (path: string, headers: OutgoingHttpHeaders = {}): Promise<ClientHttp2Stream> => {
    const session = await connection.session()
    const stream = session.request({':method': 'POST', ':path': path, ...headers})
    stream.on('error', () => undefined)
    return stream
  }
  const call = async (
    method: string,
    body: Buffer | string,
    headers?: OutgoingHttpHeaders,
  ): Promise<unknown> => {
    const stream = await open(`/v1/${method}`, headers)
    const patience = method === 'appendRecording' ? chunkMilliseconds : answerMilliseconds
    const timer = setTimeout(() => stream.destroy(silent()), patience)
    try {
      stream.end(body)
      const status = await statusOf(stream)
      const text = (await readAll(bytesOf(stream), maxAnswerBytes)).toString('utf8')
      if (status !== 200) throw errorFromWire(text)
      return (fromWire(text) as {result?: unknown} | null)?.result
    } finally {
      clearTimeout(timer)
    }
  }
  const watch = async (
    method: StreamMethod,
    {signal}: {signal: AbortSignal},
  ): Promise<AsyncIterable<unknown>> => {
    const stream = await open(`/v1/${method}`)
    const end = (): void => stream.close()
    signal.addEventListener('abort', end, {once: true})
    stream.once('close', () => signal.removeEventListener('abort', end))
    if (signal.aborted) end()
    stream.end()
    const status = await statusOf(stream)
    if (status !== 200) throw errorFromWire((await readAll(bytesOf(stream), maxAnswerBytes)).toString('utf8'))
    return states(stream, signal)
  }
  const input = (parameters: unknown): string => toWire({input: parameters})
  const append = (sid: string, {data, ...facts}: RecordingChunk): Promise<unknown> =>
    call('appendRecording', Buffer.concat([Buffer.from(`${input([sid, facts])}\n`), data]))
  const methods = {
    ...Object.fromEntries(
      Object.keys(systemInputs).map(name => [
        name,
        (...parameters: unknown[]) => call(name, input(parameters)),
      ]),
    ),
    ...Object.fromEntries(
      streamMethods.map(name => [name, (request: {signal: AbortSignal}) => watch(name, request)]),
    ),
    appendRecording: append,
  }
  return {
    api: methods as unknown as SystemApi,
    anonymous: address =>
      Object.fromEntries(
        Object.keys(anonymousInputs).map(name => [
          name,
          (...parameters: unknown[]) => call(name, input(parameters), {[onBehalfHeader]: address}),
        ]),
      ) as unknown as AnonymousApi,
    async passOn(user, opening) {
      const stream = await open(userPath)
      stream.write(`${toWire(opening)}\n`)
      const status = await statusOf(stream)
      if (status !== 200)
        throw errorFromWire((await readAll(bytesOf(stream), maxAnswerBytes)).toString('utf8'))
      await pipeline(user, stream, user)
    },
    close: connection.close,
  }
}

const silent = (): SallyportError => problem('timeout', 'the auth service did not answer in time')

const lost = (cause?: unknown): SallyportError =>
  problem('unavailable', 'the connection to the auth service was lost', {
    hint: 'try again in a moment',
    cause,
  })

/** An error below the API becomes one of ours. */
const asLost = (error: unknown): SallyportError => (error instanceof SallyportError ? error : lost(error))

async function statusOf(stream: ClientHttp2Stream): Promise<number> {
  return new Promise((resolve, reject) => {
    stream.once('response', headers => resolve(Number(headers[':status'])))
    stream.once('error', error => reject(asLost(error)))
    stream.once('close', () => reject(lost()))
  })
}

async function* bytesOf(stream: ClientHttp2Stream): AsyncGenerator<Buffer> {
  try {
    for await (const chunk of stream as AsyncIterable<Buffer>) yield chunk
  } catch (error) {
    throw asLost(error)
  }
  // A stream that is cut off ends like one that is over.
  if (stream.rstCode !== 0) throw lost()
}

async function* states(stream: ClientHttp2Stream, signal: AbortSignal): AsyncGenerator<unknown> {
  try {
    for await (const line of linesOf(bytesOf(stream), maxLineBytes)) yield fromWire(line)
  } catch (error) {
    if (!signal.aborted) throw error
  } finally {
    stream.close()
  }
}

interface Connection {
  /** @throws unavailable, tls_untrusted */
  session(): Promise<ClientHttp2Session>
  close(): void
}

function createConnection({servers, credentials, now}: ClusterClientOptions): Connection {
  let current: ClientHttp2Session | undefined
  let connecting: Promise<ClientHttp2Session> | undefined
  let preferred = 0
  let pause = 0
  let notBefore = 0
  let lastError: SallyportError | undefined
  let closed = false

  const attempt = async (): Promise<ClientHttp2Session> => {
    let failure: unknown
    for (let i = 0; i < servers.length; i++) {
      const at = (preferred + i) % servers.length
      try {
        const session = await connectToAuth(servers[at] as Address, credentials())
        if (closed) session.destroy()
        preferred = at
        return session
      } catch (error) {
        failure = error
      }
    }
    throw failure ?? problem('config_invalid', 'no auth server is named', {hint: 'use --auth-server'})
  }
  const connect = async (): Promise<ClientHttp2Session> => {
    try {
      const session = await attempt()
      pause = 0
      current = session
      session.once('close', () => {
        if (current === session) current = undefined
      })
      return session
    } catch (error) {
      lastError = asProblem(error, 'unavailable')
      pause = Math.min(Math.max(pause * 2, firstPauseMilliseconds), maxPauseMilliseconds)
      notBefore = now() + pause
      throw lastError
    } finally {
      connecting = undefined
    }
  }
  return {
    async session() {
      if (closed) throw problem('cancelled', 'the connection to the auth service is closed')
      if (current && !current.closed && !current.destroyed) return current
      if (connecting) return connecting
      // A clock that was set back must not make the pause any longer.
      const wait = notBefore - now()
      if (lastError && wait > 0 && wait <= maxPauseMilliseconds) throw lastError
      connecting = connect()
      return connecting
    },
    close() {
      closed = true
      current?.destroy()
    },
  }
}
