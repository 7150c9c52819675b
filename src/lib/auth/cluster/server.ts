import {
  constants,
  createSecureServer,
  type Http2SecureServer,
  type IncomingHttpHeaders,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from 'node:http2'
import type {AddressInfo} from 'node:net'
import type {TLSSocket} from 'node:tls'
import {asProblem} from '../../errors/index.js'
import {type Address, hostOfAddress} from '../../names/index.js'
import {errorToWire} from '../http/wire.js'
import {serveCall} from './calls.js'
import {type ClusterServerOptions, isSystem, type Peer, peerOf} from './peer.js'

/** What nobody has shown a certificate for may keep open at a time, for so long: enough to join. */
const maxAnonymous = 200
/** Of them from one address. */
const maxAnonymousHere = 20
const anonymousMilliseconds = 30_000
/** Calls of one of them at a time: what each sends is kept until all of it is there. */
const maxAnonymousCalls = 4
const handshakeMilliseconds = 10_000
/** A machine whose connection says nothing for two of these is gone. */
const pingMilliseconds = 15_000
const maxConnections = 10_000
const maxStreams = 1024

export interface ClusterServer {
  address: Address
  /** New connections are shown another certificate, and machines are believed by these authorities. */
  useCertificate(tls: ClusterServerOptions['tls']): void
  close(): Promise<void>
}

/**
 * The auth API for other machines: HTTP/2 and JSON over mTLS. Who shows no certificate may join and ask what the cluster
 * is; a certificate of the cluster says which role its holder has, and on which machine.
 * @throws the listen error, e.g. EADDRINUSE
 */
export async function startClusterServer(options: ClusterServerOptions): Promise<ClusterServer> {
  const {tls, log} = options
  const server = createSecureServer({
    ...secureContext(tls),
    requestCert: true,
    // Whoever has no certificate yet has to be able to join; what a certificate is worth is looked at below.
    rejectUnauthorized: false,
    handshakeTimeout: handshakeMilliseconds,
    maxSessionMemory: 32,
    settings: {maxConcurrentStreams: maxStreams, enablePush: false, maxHeaderListSize: 16 * 1024},
  })
  server.maxConnections = maxConnections
  const sessions = new Set<ServerHttp2Session>()
  const strangers = new Map<ServerHttp2Session, string>()
  server.on('session', session => {
    sessions.add(session)
    session.once('close', () => sessions.delete(session))
    // A machine that hangs up in the middle must not end the service.
    session.on('error', error => log.info({error: error.message}, 'a machine hung up'))
    const peer = peerOf(session.socket as TLSSocket, options)
    const nobody = !isSystem(peer)
    if (nobody && !hasRoom(strangers, ipOf(peer))) return session.destroy()
    if (nobody) strangers.set(session, ipOf(peer))
    const timer = nobody
      ? setTimeout(() => session.destroy(), anonymousMilliseconds)
      : setInterval(() => keepAlive(session, peer), pingMilliseconds)
    session.once('close', () => {
      clearTimeout(timer)
      strangers.delete(session)
    })
    let calls = 0
    session.on('stream', (stream, headers) => {
      // Whoever hangs up in the middle of a call has told the connection so.
      stream.on('error', () => undefined)
      if (nobody && calls >= maxAnonymousCalls) return stream.close(constants.NGHTTP2_REFUSED_STREAM)
      calls++
      stream.once('close', () => calls--)
      serveStream(stream, headers, peer, options)
    })
  })
  server.on('tlsClientError', error => log.info({error: error.message}, 'a machine did not come to terms'))
  const address = await listen(server, options.listen)
  server.on('error', error => log.error({error: error.message}, 'a connection could not be accepted'))
  return {
    address,
    useCertificate: next => server.setSecureContext(secureContext(next)),
    close: () =>
      new Promise(resolve => {
        server.close(() => resolve())
        for (const session of sessions) session.destroy()
      }),
  }
}

const ipOf = ({address}: Peer): string => hostOfAddress(address)

/** Whether one more connection of nobody from this address may stay. */
function hasRoom(strangers: ReadonlyMap<unknown, string>, ip: string): boolean {
  const here = [...strangers.values()].filter(address => address === ip).length
  return strangers.size < maxAnonymous && here < maxAnonymousHere
}

/** The authority is shown too, for those who know it by its pin. */
const secureContext = ({key, certificate, authorities}: ClusterServerOptions['tls']) => ({
  key,
  cert: [certificate, ...authorities].join(''),
  ca: [...authorities],
  minVersion: 'TLSv1.3' as const,
})

/** Ends the connection of a machine that does not answer, or whose certificate has run out: it comes back with another. */
function keepAlive(session: ServerHttp2Session, peer: Peer): void {
  if (!isSystem(peer)) return session.destroy()
  const silence = setTimeout(() => session.destroy(), pingMilliseconds)
  session.once('close', () => clearTimeout(silence))
  if (session.destroyed || !session.ping(() => clearTimeout(silence))) clearTimeout(silence)
}

function serveStream(
  stream: ServerHttp2Stream,
  headers: IncomingHttpHeaders,
  peer: Peer,
  options: ClusterServerOptions,
): void {
  const path = String(headers[':path'] ?? '')
  serveCall(stream, headers, peer, options).catch((error: unknown) => {
    const failure = asProblem(error)
    if (failure.code === 'internal') options.log.error({err: error, path}, 'API call failed')
    if (stream.destroyed || stream.headersSent) {
      stream.destroy()
      return
    }
    stream.respond({':status': failure.code === 'internal' ? 500 : 400, 'content-type': 'application/json'})
    // What is left of the request is not waited for.
    stream.end(errorToWire(failure), () => stream.close())
  })
}

function listen(server: Http2SecureServer, {host, port}: Address): Promise<Address> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, host, () => {
      server.removeListener('error', reject)
      const {address, port: bound} = server.address() as AddressInfo
      resolve({host: address, port: bound})
    })
  })
}
