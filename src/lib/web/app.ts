import {randomUUID} from 'node:crypto'
import type {ServerOptions} from 'node:https'
import helmet from '@fastify/helmet'
import rateLimit from '@fastify/rate-limit'
import Fastify, {type FastifyReply, type FastifyRequest} from 'fastify'
import {problem} from '../errors/index.js'
import {apiRoutes} from './api.js'
import {createContext, type WebApp, type WebContext, type WebOptions, type WebScope} from './context.js'
import {httpProblem} from './errors.js'
import {parseForm} from './input.js'
import type {WebLimits} from './limits.js'
import {answerMalformed, answerUnroutable} from './malformed.js'
import {isOwnOrigin} from './origin.js'
import {loginCommand, pageRoutes, problemPage, renderPage} from './pages/index.js'

/** Requests, answers and headers, without the listening socket. */
export async function buildApp(options: WebOptions, tls: {cert: string; key: string}): Promise<WebApp> {
  const web = createContext(options)
  const {limits} = web
  const app: WebApp = Fastify({
    https: serverOptions(limits, tls),
    bodyLimit: limits.bodyBytes,
    requestTimeout: limits.requestMs,
    keepAliveTimeout: limits.keepAliveMs,
    connectionTimeout: limits.inactivityMs,
    handlerTimeout: limits.handlerMs,
    // A link that was pasted wrongly deserves its page: the length is judged with the token.
    routerOptions: {maxParamLength: limits.headerBytes},
    forceCloseConnections: 'idle',
    genReqId: () => randomUUID(),
    clientErrorHandler: answerMalformed,
    frameworkErrors: answerUnroutable,
  })
  app.server.headersTimeout = limits.headersMs

  await protect(app)
  logAnswers(app, web)
  const fail = failWith(web)
  app.setErrorHandler(fail)
  app.setNotFoundHandler((request, reply) => {
    fail(problem('not_found', 'there is nothing at this address', {hint: 'check the link'}), request, reply)
  })
  app.register(async scope => jsonScope(scope, web), {prefix: '/webapi'})
  app.register(async scope => pageScope(scope, web))
  return app
}

const serverOptions = (limits: WebLimits, tls: {cert: string; key: string}): ServerOptions => ({
  cert: tls.cert,
  key: tls.key,
  minVersion: 'TLSv1.2',
  handshakeTimeout: limits.handshakeMs,
  maxHeaderSize: limits.headerBytes,
  connectionsCheckingInterval: limits.checkMs,
})

async function protect(app: WebApp): Promise<void> {
  await app.register(helmet, {
    contentSecurityPolicy: {
      useDefaults: false,
      directives: {
        'default-src': ["'none'"],
        'style-src': ["'self'"],
        'img-src': ["'self'"],
        'form-action': ["'self'"],
        'base-uri': ["'none'"],
        'frame-ancestors': ["'none'"],
      },
    },
    // Not for subdomains: other services of the same domain may still be plain HTTP.
    strictTransportSecurity: {maxAge: 365 * 24 * 3600, includeSubDomains: false},
    referrerPolicy: {policy: 'no-referrer'},
    xFrameOptions: {action: 'deny'},
  })
  await app.register(rateLimit, {
    global: false,
    cache: 10_000,
    // One customer usually holds a whole /64.
    ipv6Subnet: 64,
    errorResponseBuilder: (_request, {after}) =>
      problem('rate_limited', 'too many requests from your address', {hint: `try again in ${after}`}),
  })
  // Answers hold secrets, or facts that a rotation changes; assets, which do not, say so themselves.
  app.addHook('onRequest', async (_request, reply) => {
    reply.header('cache-control', 'no-store')
  })
}

/** By route, never by URL: sign-up links are secrets. */
function logAnswers(app: WebApp, {logger}: WebContext): void {
  app.addHook('onResponse', async (request, reply) => {
    logger.debug(
      {
        request: request.id,
        method: request.method,
        route: request.routeOptions.url,
        status: reply.statusCode,
        ms: Math.round(reply.elapsedTime),
        address: request.ip,
      },
      'answered',
    )
  })
}

const failWith = (web: WebContext) => (thrown: unknown, request: FastifyRequest, reply: FastifyReply) => {
  const found = httpProblem(thrown, request.id)
  if (found.fault !== undefined) {
    web.logger.error(
      {err: found.fault, request: request.id, route: request.routeOptions.url},
      'request failed',
    )
  }
  reply.code(found.status)
  const {code, message, hint} = found.error
  if (isApi(request.url)) {
    reply.send({error: {code, message, ...(hint && {hint})}})
    return
  }
  const login = loginCommand({proxy: web.proxyAddress(request), insecure: web.selfSigned}, 'you')
  reply.type('text/html; charset=utf-8').send(renderPage(problemPage(found, {login}), web.clusterName))
}

const isApi = (url: string): boolean => /^\/webapi(?:[/?]|$)/.test(url)

function jsonScope(scope: WebScope, web: WebContext): void {
  scope.removeAllContentTypeParsers()
  scope.addContentTypeParser(
    'application/json',
    {parseAs: 'string'},
    scope.getDefaultJsonParser('error', 'error'),
  )
  scope.addHook('onRequest', async request => {
    if (request.method === 'GET' || request.method === 'HEAD') return
    if (!isOwnOrigin(request.headers, {publicHost: web.publicHost(), fromProgram: true})) {
      throw problem('access_denied', 'requests from other sites are refused')
    }
  })
  apiRoutes(scope, web)
}

function pageScope(scope: WebScope, web: WebContext): void {
  scope.removeAllContentTypeParsers()
  scope.addContentTypeParser(
    'application/x-www-form-urlencoded',
    {parseAs: 'string'},
    async (_request: FastifyRequest, body: string) => parseForm(body),
  )
  pageRoutes(scope, web)
}
