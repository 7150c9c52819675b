import {once} from 'node:events'
import type {IncomingHttpHeaders, ServerHttp2Stream} from 'node:http2'
import {Duplex} from 'node:stream'
import {z} from 'zod'
import {problem, SallyportError} from '../../errors/index.js'
import type {AuthApi, Caller} from '../contract.js'
import {fromWire, readAll, toWire} from '../http/wire.js'
import {onBehalfHeader, userPath} from './paths.js'
import type {ClusterServerOptions, Peer} from './peer.js'
import {
  type AnonymousCall,
  anonymousInputs,
  type StreamMethod,
  type SystemCall,
  streamMethods,
  systemInputs,
} from './system-methods.js'

const maxBodyBytes = 1024 * 1024
/** Of somebody without a certificate: keys, names and a token. */
const maxAnonymousBytes = 256 * 1024
/** A chunk of a recording, see the limits of the recording room, and its line. */
const maxChunkBytes = 8 * 1024 * 1024 + 64 * 1024
const maxOpeningBytes = 256 * 1024
const bodyMilliseconds = 60_000

/** Answers one call. @throws whatever the caller is to be told */
export async function serveCall(
  stream: ServerHttp2Stream,
  headers: IncomingHttpHeaders,
  peer: Peer,
  options: ClusterServerOptions,
): Promise<void> {
  const caller = peer.caller()
  if (caller instanceof SallyportError) throw caller
  if (headers[':method'] !== 'POST') throw noMethod()
  if (headers[':path'] === userPath) return serveUser(stream, caller, options)
  const method = /^\/v1\/([A-Za-z]+)$/.exec(String(headers[':path']))?.[1] ?? ''
  const client = headers[onBehalfHeader]
  if (client !== undefined) return serveAnonymous(stream, method, caller, String(client), options)
  const api = options.service.as(caller)
  if (isStream(method)) return serveStream(stream, api, method)
  if (!Object.hasOwn(systemInputs, method)) throw noMethod()
  const most = caller.kind === 'anonymous' ? maxAnonymousBytes : maxBodyBytes
  await answer(stream, await call(api, method as SystemCall, await body(stream, method, most)))
}

const noMethod = () => problem('not_found', 'the API has no such method')

const isStream = (method: string): method is StreamMethod =>
  (streamMethods as readonly string[]).includes(method)

async function call(api: AuthApi, method: SystemCall, given: Buffer): Promise<unknown> {
  if (method !== 'appendRecording') return invoke(api, method, read(systemInputs[method], given))
  const end = given.indexOf(10)
  if (end === -1) throw problem('invalid_input', 'the chunk has no line of facts')
  const [sid, facts] = read(systemInputs.appendRecording, given.subarray(0, end)) as [string, object]
  return invoke(api, method, [sid, {...facts, data: given.subarray(end + 1)}])
}

const invoke = (api: AuthApi, method: keyof AuthApi, parameters: readonly unknown[]): Promise<unknown> =>
  (api[method] as (...values: unknown[]) => Promise<unknown>)(...parameters)

/** @throws invalid_input, protocol_error */
function read(schema: z.ZodType, line: Buffer): unknown[] {
  const checked = schema.safeParse((fromWire(line.toString('utf8')) as {input?: unknown} | null)?.input)
  if (checked.success) return checked.data as unknown[]
  const [issue] = checked.error.issues
  const where = issue?.path.slice(1).join('.')
  throw problem(
    'invalid_input',
    `the request is not valid: ${where ? `${where}: ` : ''}${issue?.message ?? ''}`,
  )
}

/** All of the request, which has to be there in a minute. */
async function body(stream: ServerHttp2Stream, method: string, most = maxBodyBytes): Promise<Buffer> {
  const timer = setTimeout(() => stream.destroy(), bodyMilliseconds)
  try {
    // The stream is still wanted for the refusal of a body that is too large.
    const bytes = stream.iterator({destroyOnReturn: false})
    const isChunk = method === 'appendRecording' && most === maxBodyBytes
    return await readAll(bytes, isChunk ? maxChunkBytes : most)
  } finally {
    clearTimeout(timer)
  }
}

async function answer(stream: ServerHttp2Stream, result: unknown): Promise<void> {
  if (stream.destroyed) return
  stream.respond({':status': 200, 'content-type': 'application/json'})
  stream.end(toWire({result: result ?? null}))
}

/** A line for each state, the whole of it; whoever is slow gets the newest and none of those between. */
async function serveStream(stream: ServerHttp2Stream, api: AuthApi, method: StreamMethod): Promise<void> {
  const over = new AbortController()
  stream.once('close', () => over.abort())
  stream.resume()
  const states: AsyncIterable<unknown> = await api[method]({signal: over.signal})
  if (stream.destroyed) return
  stream.respond({':status': 200, 'content-type': 'application/x-ndjson'})
  for await (const state of states) {
    if (stream.destroyed) return
    if (!stream.write(`${toWire(state)}\n`))
      await Promise.race([once(stream, 'drain'), once(stream, 'close')])
    // A machine that is locked learns of the lock, and of nothing after it.
    await api.ping()
  }
  stream.end()
}

/**
 * What a proxy asks for somebody at its web port who has no name yet; the address is the proxy's word. A node vouches for
 * nobody.
 */
async function serveAnonymous(
  stream: ServerHttp2Stream,
  method: string,
  caller: Caller,
  address: string,
  {service}: ClusterServerOptions,
): Promise<void> {
  requireProxy(caller)
  if (!Object.hasOwn(anonymousInputs, method)) throw noMethod()
  const name = method as AnonymousCall
  const parameters = read(anonymousInputs[name], await body(stream, method))
  const api = service.as({kind: 'anonymous', address: address.slice(0, 64)})
  await answer(stream, await invoke(api, name, parameters))
}

const openingSchema = z.strictObject({
  certificate: z.custom<Buffer>(value => Buffer.isBuffer(value)),
  address: z.string().max(64),
})

/**
 * The connection of a user, which a proxy passes on: a line with the certificate, then bytes both ways. Who the user is
 * stands in the certificate, which is checked here once more; the proxy is believed in one thing, that the user has shown
 * to have its key.
 */
async function serveUser(
  stream: ServerHttp2Stream,
  caller: Caller,
  {userOf, serveUser: serve}: ClusterServerOptions,
): Promise<void> {
  requireProxy(caller)
  const line = await firstLine(stream)
  const opening = openingSchema.safeParse(fromWire(line))
  if (!opening.success) throw problem('invalid_input', 'the request is not valid')
  const {certificate, address} = opening.data
  const user = userOf(certificate, address)
  stream.respond({':status': 200, 'content-type': 'application/octet-stream'})
  serve(Duplex.from({readable: stream, writable: stream}), user)
}

function requireProxy(caller: Caller): void {
  if (caller.kind === 'system' && caller.role === 'proxy') return
  throw problem('access_denied', 'only a proxy may speak for others')
}

/** Up to the first line feed; what follows it stays in the stream. */
async function firstLine(stream: ServerHttp2Stream): Promise<string> {
  const parts: Buffer[] = []
  let size = 0
  for (;;) {
    const chunk = stream.read() as Buffer | null
    if (chunk === null) {
      if (stream.readableEnded || stream.destroyed) throw problem('invalid_input', 'the request ended early')
      await Promise.race([once(stream, 'readable'), once(stream, 'end'), once(stream, 'close')])
      continue
    }
    const end = chunk.indexOf(10)
    if (end !== -1) {
      if (end + 1 < chunk.length) stream.unshift(chunk.subarray(end + 1))
      return Buffer.concat([...parts, chunk.subarray(0, end)]).toString('utf8')
    }
    size += chunk.length
    if (size > maxOpeningBytes) throw problem('limit_exceeded', 'the request is too large')
    parts.push(chunk)
  }
}
