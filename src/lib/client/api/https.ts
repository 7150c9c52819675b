import {readFile} from 'node:fs/promises'
import type {IncomingMessage} from 'node:http'
import {request} from 'node:https'
import {rootCertificates} from 'node:tls'
import {problem, type SallyportError} from '../../errors/index.js'
import {type Address, formatAddress} from '../../names/index.js'

/** An answer larger than this is not from a proxy of ours. */
export const maxResponseBytes = 1024 * 1024
/** From the first step of connecting to the end of the TLS handshake. */
const connectTimeoutMs = 10_000
/** From there to the last byte of the answer: a login waits for its password hash, in a queue. */
const answerTimeoutMs = 35_000

export interface HttpsTarget extends Address {
  /** Accept a certificate that nobody vouches for. */
  insecure?: boolean
  env?: NodeJS.ProcessEnv
  /** In place of both limits. */
  timeoutMs?: number
}

export interface HttpsRequest {
  method: 'GET' | 'POST'
  path: string
  /** Sent as JSON. */
  body?: unknown
}

export interface HttpsResponse {
  status: number
  contentType: string
  body: Buffer
}

/**
 * One HTTPS request on a connection of its own.
 * @throws proxy_unreachable, tls_untrusted, timeout, limit_exceeded
 */
export async function httpsRequest(
  target: HttpsTarget,
  {method, path, body}: HttpsRequest,
): Promise<HttpsResponse> {
  const {host, port, insecure = false, env = process.env} = target
  const authorities = insecure ? undefined : await extraAuthorities(env)
  const payload = body === undefined ? undefined : Buffer.from(JSON.stringify(body))
  return new Promise((resolve, reject) => {
    const options = {
      ...{host, port, method, path, agent: false, rejectUnauthorized: !insecure},
      ...(authorities ? {ca: authorities} : {}),
      headers: {
        accept: 'application/json',
        connection: 'close',
        ...(payload ? {'content-type': 'application/json', 'content-length': payload.length} : {}),
      },
    }
    const outgoing = request(options, response => {
      collect(response).then(resolve, fail)
    })
    const fail = (error: unknown) => {
      clearTimeout(timer)
      outgoing.destroy()
      reject(error)
    }
    let timer: NodeJS.Timeout | undefined
    const limit = (milliseconds: number) => {
      clearTimeout(timer)
      timer = setTimeout(() => fail(silence(target, milliseconds)), milliseconds)
    }
    limit(target.timeoutMs ?? connectTimeoutMs)
    outgoing.once('socket', socket => {
      socket.once('secureConnect', () => limit(target.timeoutMs ?? answerTimeoutMs))
    })
    outgoing.once('error', error => fail(connectionProblem(error, target)))
    outgoing.once('close', () => clearTimeout(timer))
    outgoing.end(payload)
  })
}

async function collect(response: IncomingMessage): Promise<HttpsResponse> {
  const pieces: Buffer[] = []
  let total = 0
  for await (const piece of response) {
    total += (piece as Buffer).length
    if (total > maxResponseBytes)
      throw problem('limit_exceeded', `the proxy answered with more than ${maxResponseBytes} bytes`)
    pieces.push(piece as Buffer)
  }
  const contentType = response.headers['content-type'] ?? ''
  return {status: response.statusCode ?? 0, contentType, body: Buffer.concat(pieces)}
}

/**
 * Naming authorities replaces Node's own list, so both are given. Node reads NODE_EXTRA_CA_CERTS by itself, but not
 * beside a list of ours; SSL_CERT_FILE it leaves to OpenSSL, which it does not ask.
 */
async function extraAuthorities(env: NodeJS.ProcessEnv): Promise<string[] | undefined> {
  if (!env.SSL_CERT_FILE) return undefined
  const files = [env.SSL_CERT_FILE, env.NODE_EXTRA_CA_CERTS].filter(file => file !== undefined)
  const read = async (file: string): Promise<string> =>
    readFile(file, 'utf8').catch((cause: Error) => {
      throw problem('tls_untrusted', `cannot read the trusted certificates in ${file}: ${cause.message}`, {
        cause,
      })
    })
  return [...rootCertificates, ...(await Promise.all(files.map(read)))]
}

const silence = ({host, port}: HttpsTarget, milliseconds: number): SallyportError =>
  problem(
    'proxy_unreachable',
    `the proxy ${formatAddress({host, port})} gave no answer in ${milliseconds / 1000} s`,
    {
      hint: checkAddress,
    },
  )

const checkAddress = 'check --proxy, and that the proxy is running'

function connectionProblem(cause: NodeJS.ErrnoException, {host, port}: HttpsTarget): SallyportError {
  const peer = formatAddress({host, port})
  const code = cause.code ?? ''
  const distrust = untrusted[code] ?? (/CERT|ISSUER|TLS_CERT/.test(code) ? cause.message : undefined)
  if (distrust !== undefined)
    return problem('tls_untrusted', `the web certificate of ${peer} is not trusted: ${distrust}`, {
      hint: 'name its authority with SSL_CERT_FILE or NODE_EXTRA_CA_CERTS, or accept it with --insecure',
      cause,
    })
  const reason = unreachable[code] ?? (code === 'EPROTO' ? 'it does not speak HTTPS' : cause.message)
  return problem('proxy_unreachable', `cannot reach the proxy ${peer}: ${reason}`, {
    hint: checkAddress,
    cause,
  })
}

const untrusted: Readonly<Record<string, string>> = {
  DEPTH_ZERO_SELF_SIGNED_CERT: 'it is signed by itself',
  SELF_SIGNED_CERT_IN_CHAIN: 'its authority is not known here',
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: 'its authority is not known here',
  UNABLE_TO_GET_ISSUER_CERT: 'its authority is not known here',
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: 'its authority is not known here',
  CERT_HAS_EXPIRED: 'it has expired',
  CERT_NOT_YET_VALID: 'it is not valid yet; the clock here may be wrong',
  ERR_TLS_CERT_ALTNAME_INVALID: 'it is for another host name',
}

const unreachable: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'nothing listens there',
  ENOTFOUND: 'no such host',
  EAI_AGAIN: 'the name cannot be resolved',
  ECONNRESET: 'it closed the connection',
  EHOSTUNREACH: 'there is no route to it',
  ENETUNREACH: 'there is no route to it',
  ETIMEDOUT: 'no answer',
}
