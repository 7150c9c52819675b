import type {Server} from 'node:https'
import type {FastifyInstance, FastifyRequest} from 'fastify'
import type {Logger} from 'pino'
import type {AuthApi, Caller} from '../auth/contract.js'
import type {WebLimits} from './limits.js'
import {hostOf} from './origin.js'

export type WebApp = FastifyInstance<Server>
/** A part of the app with its own routes and body parsers. */
export type WebScope = FastifyInstance

/** The part of the auth service that somebody without a name may use: the web never asks for more. */
export type PublicAuth = Pick<AuthApi, 'ping' | 'login' | 'getInvite' | 'acceptInvite' | 'exportAuthorities'>

export interface WebOptions {
  auth: {as(caller: Caller & {kind: 'anonymous'}): PublicAuth}
  clusterName: string
  /** `host:port` of the proxy's SSH port, known once it listens. */
  sshAddress: () => string
  /** `host[:port]` of the SSH port as clients reach it, where that differs. */
  sshPublicAddress?: string | undefined
  /** `https://host[:port]` as users reach this service. Default: the address that a request was sent to. */
  publicUrl: () => string | undefined
  /** Clients have to be told to accept the certificate: nobody they trust signed it. */
  selfSigned: boolean
  logger: Logger
  /** Unix ms. */
  now: () => number
  limits: WebLimits
}

export type RateClass = 'logins' | 'tokens' | 'reads'

/** What the routes need: the options, and the rules that all of them share. */
export interface WebContext extends WebOptions {
  /** `host[:port]` of publicUrl. */
  publicHost(): string | undefined
  /** The auth service as the anonymous client at the request's address sees it. */
  authFor(request: FastifyRequest): PublicAuth
  /** Route options that limit how often one address may call. */
  limited(rate: RateClass): {config: {rateLimit: {max: number; timeWindow: number}}}
  /** `host:port` for `--proxy`, as this client reaches the service. */
  proxyAddress(request: FastifyRequest): string
}

export function createContext(options: WebOptions): WebContext {
  const {limits} = options
  const perMinute = {
    logins: limits.loginsPerMinute,
    tokens: limits.tokensPerMinute,
    reads: limits.readsPerMinute,
  }
  const publicHost = () => hostOf(options.publicUrl() ?? '')
  return {
    ...options,
    publicHost,
    authFor: request => options.auth.as({kind: 'anonymous', address: clientAddress(request)}),
    limited: rate => ({config: {rateLimit: {max: perMinute[rate], timeWindow: 60_000}}}),
    proxyAddress: request => withPort(publicHost() ?? requestHost(request)),
  }
}

/** The peer's address; an IPv4 client of a dual-stack socket is named by its IPv4 address. */
const clientAddress = (request: FastifyRequest): string => request.ip.replace(/^::ffff:(?=\d+\.)/, '')

// The Host header is the client's own word: it is only ever shown back to the client that sent it.
const requestHost = (request: FastifyRequest): string =>
  hostOf(`https://${request.headers.host ?? ''}`) ??
  `${request.socket.localAddress}:${request.socket.localPort}`

const withPort = (host: string): string => (/:\d+$/.test(host) ? host : `${host}:443`)
