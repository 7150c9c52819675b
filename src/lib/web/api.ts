import type {FastifyReply, FastifyRequest} from 'fastify'
import type {Invite, IssuedCertificate, Ping} from '../auth/contract.js'
import type {WebContext, WebScope} from './context.js'
import {acceptBody, exportQuery, loginBody, parseInput, parseToken} from './input.js'

/** Ping as the proxy gives it: what the cluster is, and where its SSH port listens. */
export type WebPing = Ping & {proxy: {ssh: {listen_addr: string; public_addr?: string}}}

/** The JSON API under /webapi, field by field in docs/web-api.md. Callers are anonymous here. */
export function apiRoutes(app: WebScope, web: WebContext): void {
  const {limited} = web

  app.get('/ping', limited('reads'), async (request): Promise<WebPing> => {
    const ping = await web.authFor(request).ping()
    const {sshPublicAddress} = web
    const ssh = {listen_addr: web.sshAddress(), ...(sshPublicAddress && {public_addr: sshPublicAddress})}
    return {...ping, proxy: {ssh}}
  })

  app.post('/ssh/certs', limited('logins'), async (request): Promise<IssuedCertificate> => {
    return web.authFor(request).login(parseInput(loginBody, request.body))
  })

  const byToken = limited('tokens')
  app.get<{Params: {token: string}}>(
    '/users/password/token/:token',
    byToken,
    async (request): Promise<Invite> => {
      return web.authFor(request).getInvite(parseToken(request.params.token))
    },
  )

  app.post('/users/password/token', byToken, async (request): Promise<{user: string}> => {
    const body = parseInput(acceptBody, request.body)
    return web.authFor(request).acceptInvite({...body, token: parseToken(body.token)})
  })

  app.get('/auth/export', limited('reads'), async (request: FastifyRequest, reply: FastifyReply) => {
    const text = await web.authFor(request).exportAuthorities(parseInput(exportQuery, request.query))
    reply.type('text/plain; charset=utf-8')
    return text.endsWith('\n') ? text : `${text}\n`
  })
}
