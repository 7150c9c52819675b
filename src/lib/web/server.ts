import {lookup} from 'node:dns/promises'
import type {AddressInfo} from 'node:net'
import {hostname} from 'node:os'
import {createSecureContext} from 'node:tls'
import {problem, type SallyportError} from '../errors/index.js'
import type {Address} from '../names/index.js'
import {buildApp} from './app.js'
import {trackConnections} from './connections.js'
import type {WebApp, WebOptions} from './context.js'
import {defaultLimits, type WebLimits} from './limits.js'
import type {WebTls} from './tls.js'

export interface StartWebOptions extends Omit<WebOptions, 'limits' | 'selfSigned' | 'publicUrl'> {
  /** Port 0 picks a free one. */
  listen: Address
  tls: WebTls
  /** `https://host[:port]` as users reach this service; port 0 stands for the one it listens on. */
  publicUrl?: string | undefined
  limits?: Partial<WebLimits>
}

export interface WebServer {
  /** Where it really listens. */
  address: Address
  /** How users reach it: publicUrl, else the address (this machine's name where that is a wildcard). */
  url: string
  /** Serves new connections with another certificate. Throws config_invalid when it cannot be used. */
  useCertificate(tls: {cert: string; key: string}): void
  /** Refuses new requests, lets those in progress finish for `limits.drainMs`, then cuts them. */
  close(): Promise<void>
}

/**
 * Serves the web API and the pages over HTTPS (TLS 1.2 and newer, HTTP/1.1).
 * @throws config_invalid when the address or the certificate cannot be used
 */
export async function startWeb(given: StartWebOptions): Promise<WebServer> {
  const {listen, tls, ...options} = given
  const limits = {...defaultLimits, ...given.limits}
  assertUsable(tls)
  const publicUrl = () => given.publicUrl?.replace(/:0$/, `:${boundAddress(app).port}`)
  const app: WebApp = await buildApp({...options, publicUrl, limits, selfSigned: tls.selfSigned}, tls)
  const connections = trackConnections(app.server, limits.connections)
  await listenOn(app, listen)
  const address = boundAddress(app)
  return {
    address,
    url: publicUrl() ?? urlOf(address),
    useCertificate(next) {
      assertUsable(next)
      app.server.setSecureContext({cert: next.cert, key: next.key, minVersion: 'TLSv1.2'})
    },
    async close() {
      const closed = app.close()
      connections.endIdle()
      const cut = setTimeout(() => connections.endAll(), limits.drainMs)
      try {
        await closed
      } finally {
        clearTimeout(cut)
      }
    },
  }
}

function assertUsable({cert, key}: {cert: string; key: string}): void {
  try {
    createSecureContext({cert, key})
  } catch (cause) {
    throw problem('config_invalid', 'the HTTPS certificate and key cannot be used together', {
      hint: 'check proxy_service.https_cert_file and https_key_file',
      cause,
    })
  }
}

async function listenOn(app: WebApp, {host, port}: Address): Promise<void> {
  try {
    // One address: a name with several would make several sockets, of which one port is reported.
    const {address} = await lookup(host)
    await app.listen({host: address, port, listenTextResolver: () => ''})
  } catch (cause) {
    await app.close()
    throw cannotListen(`${host}:${port}`, cause)
  }
}

const reasons: Record<string, string> = {
  EADDRINUSE: 'another program uses this port',
  EACCES: 'this account may not use this port',
  EADDRNOTAVAIL: 'this machine does not have that address',
  ENOTFOUND: 'the host name is unknown',
}

function cannotListen(where: string, cause: unknown): SallyportError {
  const code = cause instanceof Error && 'code' in cause ? String(cause.code) : ''
  return problem('config_invalid', `the web service cannot listen on ${where}: ${reasons[code] ?? code}`, {
    hint: 'set proxy_service.web_listen_addr to a free address and port',
    cause,
  })
}

function boundAddress(app: WebApp): Address {
  const {address, port} = app.server.address() as AddressInfo
  return {host: address, port}
}

function urlOf({host, port}: Address): string {
  const name = host === '0.0.0.0' || host === '::' ? hostname() : host.includes(':') ? `[${host}]` : host
  return `https://${name}:${port}`
}
