import {X509Certificate} from 'node:crypto'
import {once} from 'node:events'
import {type ClientHttp2Session, connect as connectHttp2} from 'node:http2'
import {isIP} from 'node:net'
import {type ConnectionOptions, connect as connectTls, type TLSSocket} from 'node:tls'
import {asProblem, problem, type SallyportError} from '../../errors/index.js'
import type {Address} from '../../names/index.js'
import {formatAddress} from '../../names/index.js'
import {readTlsHost} from '../../pki/index.js'
import {within} from '../../waiting/index.js'

/** What a machine shows of itself, and what it believes. PEM. */
export interface Credentials {
  /** Absent: it has not joined yet. */
  own?: {key: string; certificate: string}
  authorities: readonly string[]
  /** Absent: whichever cluster the authority is of. */
  clusterName?: string
}

const connectMilliseconds = 10_000
const pingMilliseconds = 15_000

/**
 * Connects to the auth service, and makes sure that it is one: its certificate is signed by an authority that is believed
 * and says `auth`. Nothing but the handshake is sent before that.
 * @throws unavailable, tls_untrusted
 */
export async function connectToAuth(server: Address, credentials: Credentials): Promise<ClientHttp2Session> {
  const socket = await openTls(server, {
    ca: [...credentials.authorities],
    ...(credentials.own ? {key: credentials.own.key, cert: credentials.own.certificate} : {}),
    checkServerIdentity: (_name, {raw}) => wrongServer(new X509Certificate(raw), credentials.clusterName),
  })
  const session = connectHttp2('https://auth', {
    createConnection: () => socket,
    settings: {enablePush: false},
    maxSessionMemory: 32,
  })
  // The requests on it report what goes wrong; between two of them nobody listens.
  session.on('error', () => undefined)
  const timer = setInterval(() => checkAlive(session), pingMilliseconds)
  session.once('close', () => clearInterval(timer))
  return session
}

/** A server that does not answer a ping in time is not there any more. */
function checkAlive(session: ClientHttp2Session): void {
  const silence = setTimeout(() => session.destroy(), pingMilliseconds)
  session.once('close', () => clearTimeout(silence))
  if (session.destroyed || !session.ping(() => clearTimeout(silence))) clearTimeout(silence)
}

/** Why this is not the auth service of the cluster, or undefined. Pure. */
function wrongServer(certificate: X509Certificate, clusterName: string | undefined): Error | undefined {
  try {
    const server = readTlsHost(certificate)
    if (server.role !== 'auth') return new Error(`it is a ${server.role}`)
    if (clusterName !== undefined && server.clusterName !== clusterName)
      return new Error(`it is of the cluster ${server.clusterName}`)
    return undefined
  } catch (error) {
    return asProblem(error)
  }
}

/** The certificates that a server shows, DER, the leaf first. Nothing but the handshake is sent. @throws unavailable */
export async function shownCertificates(server: Address): Promise<Buffer[]> {
  const socket = await openTls(server, {rejectUnauthorized: false})
  try {
    const chain: Buffer[] = []
    let certificate = socket.getPeerCertificate(true)
    // An authority that signed itself is its own issuer.
    while (certificate?.raw && !chain.some(known => known.equals(certificate.raw)) && chain.length < 8) {
      chain.push(certificate.raw)
      certificate = certificate.issuerCertificate
    }
    return chain
  } finally {
    socket.destroy()
  }
}

async function openTls({host, port}: Address, options: ConnectionOptions): Promise<TLSSocket> {
  const socket = connectTls({
    ...options,
    ...{host, port, ALPNProtocols: ['h2'], minVersion: 'TLSv1.3'},
    ...(isIP(host) === 0 ? {servername: host} : {}),
  })
  try {
    await within(connectMilliseconds, once(socket, 'secureConnect'), () => {
      throw problem('timeout', 'it does not answer')
    })
    return socket
  } catch (error) {
    socket.destroy()
    throw notReached(formatAddress({host, port}), error)
  }
}

const reasons: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'nothing listens there',
  ENOTFOUND: 'the name is unknown',
  EAI_AGAIN: 'the name cannot be resolved now',
  EHOSTUNREACH: 'there is no way to it',
  ENETUNREACH: 'there is no way to it',
  ETIMEDOUT: 'it does not answer',
  ECONNRESET: 'it hung up',
}

function notReached(where: string, cause: unknown): SallyportError {
  const code = cause instanceof Error && 'code' in cause ? String(cause.code) : ''
  const reason = reasons[code]
  if (reason !== undefined || code === 'timeout')
    return problem(
      'unavailable',
      `the auth service at ${where} cannot be reached: ${reason ?? 'it does not answer'}`,
      {
        hint: 'see whether it runs, and whether its address is right',
        cause,
      },
    )
  const words = cause instanceof Error ? cause.message : String(cause)
  return problem(
    'tls_untrusted',
    `what answers at ${where} is not the auth service of this cluster: ${words}`,
    {
      hint: 'check --auth-server; a machine that moves to another cluster needs a new data directory',
      cause,
    },
  )
}
