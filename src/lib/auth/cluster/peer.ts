import type {X509Certificate} from 'node:crypto'
import type {Duplex} from 'node:stream'
import type {TLSSocket} from 'node:tls'
import {asProblem, type Log, problem, type SallyportError} from '../../errors/index.js'
import {type Address, hostOfAddress} from '../../names/index.js'
import {readTlsHost} from '../../pki/index.js'
import type {AuthService, Caller} from '../contract.js'
import type {Carried} from './carried.js'

export interface ClusterServerOptions {
  listen: Address
  service: AuthService
  /** PEM; the certificate with the authority behind it, so that a pin can be compared. */
  tls: {key: string; certificate: string; authorities: readonly string[]}
  clusterName: string
  /** Serves HTTP/1.1 to a user on a stream, as on a channel of the proxy. */
  serveUser(stream: Duplex, caller: Caller): void
  /** Who a certificate of a user is of, when it is used from that address. Throws when it is not believed. */
  userOf(certificate: Buffer, address: string): Caller
  /** Whose a connection is that a proxy carries. */
  carried?: Pick<Carried, 'take'>
  log: Pick<Log, 'info' | 'error'>
  /** Unix ms. */
  now: () => number
}

/** One connection of another machine. */
export interface Peer {
  /** Who it is by its certificate; or why it is not believed. */
  caller(): Caller | SallyportError
  /** `ip:port`; of a connection that a proxy carries, that of its other end. */
  address: string
}

export const isSystem = (peer: Peer): boolean => {
  const caller = peer.caller()
  return 'kind' in caller && caller.kind === 'system'
}

export function peerOf(socket: TLSSocket, {clusterName, now, carried}: ClusterServerOptions): Peer {
  const seen = `${(socket.remoteAddress ?? '').replace(/^::ffff:/i, '')}:${socket.remotePort}`
  const address = carried?.take(seen) ?? seen
  const certificate = socket.getPeerX509Certificate()
  const {authorized, authorizationError} = socket
  return {
    address,
    caller() {
      if (!certificate) return {kind: 'anonymous', address: hostOfAddress(address)}
      if (!authorized) return notBelieved(String(authorizationError))
      return systemOf(certificate, {clusterName, address, now: now()})
    },
  }
}

/** Who a certificate that TLS has verified is of. Pure. */
function systemOf(
  certificate: X509Certificate,
  {clusterName, address, now}: {clusterName: string; address: string; now: number},
): Caller | SallyportError {
  if (now >= Date.parse(certificate.validTo)) return notBelieved('CERT_HAS_EXPIRED')
  try {
    const host = readTlsHost(certificate)
    if (host.clusterName !== clusterName) return notBelieved('it is of another cluster')
    if (host.role === 'auth') return notBelieved('it is that of an auth service')
    return {kind: 'system', role: host.role, hostId: host.hostId, address}
  } catch (error) {
    return asProblem(error)
  }
}

const notBelieved = (why: string): SallyportError =>
  why === 'CERT_HAS_EXPIRED'
    ? problem('certificate_expired', "this machine's certificate has expired", {
        hint: 'join again with a new token: sallyport nodes add',
      })
    : problem('certificate_rejected', `this machine's certificate is not believed: ${why}`, {
        hint: 'join again with a new token: sallyport nodes add',
      })
