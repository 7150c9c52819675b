import type {z} from 'zod'
import type {AuthorityType, Invite, IssuedCertificate, LoginRequest} from '../../auth/contract.js'
import {isErrorCode, problem, type SallyportError} from '../../errors/index.js'
import {formatAddress} from '../../names/index.js'
import {type HttpsRequest, type HttpsResponse, type HttpsTarget, httpsRequest} from './https.js'
import {
  acceptedSchema,
  errorSchema,
  inviteSchema,
  issuedCertificateSchema,
  pingSchema,
  type WebPing,
} from './web-schemas.js'

/**
 * The proxy's web API as its clients use it. Every method throws the error that the proxy sent, and besides
 * proxy_unreachable, tls_untrusted, limit_exceeded, and protocol_error for an answer of another shape.
 */
export interface WebApi {
  ping(): Promise<WebPing>
  login(request: LoginRequest): Promise<IssuedCertificate>
  getInvite(token: string): Promise<Invite>
  acceptInvite(request: {token: string; password: string; otp?: string}): Promise<{user: string}>
  exportAuthorities(type: AuthorityType): Promise<string>
}

export function webApi(target: HttpsTarget): WebApi {
  const call = async <S extends z.ZodType>(schema: S, request: HttpsRequest): Promise<z.output<S>> => {
    const response = await httpsRequest(target, request)
    if (response.status !== 200) throw refusal(response, target)
    const parsed = schema.safeParse(json(response))
    if (!parsed.success) throw notOurs(target, parsed.error)
    return parsed.data
  }
  return {
    ping: () => call(pingSchema, {method: 'GET', path: '/webapi/ping'}),
    login: body => call(issuedCertificateSchema, {method: 'POST', path: '/webapi/ssh/certs', body}),
    async getInvite(token) {
      const path = `/webapi/users/password/token/${encodeURIComponent(token)}`
      const {otp, ...invite} = await call(inviteSchema, {method: 'GET', path})
      return {...invite, ...(otp ? {otp} : {})}
    },
    acceptInvite: body => call(acceptedSchema, {method: 'POST', path: '/webapi/users/password/token', body}),
    async exportAuthorities(type) {
      const response = await httpsRequest(target, {method: 'GET', path: `/webapi/auth/export?type=${type}`})
      if (response.status !== 200) throw refusal(response, target)
      return response.body.toString('utf8')
    },
  }
}

/** undefined stands for anything that is not JSON: no schema takes it. */
function json({body}: HttpsResponse): unknown {
  try {
    return JSON.parse(body.toString('utf8'))
  } catch {
    return undefined
  }
}

function refusal(response: HttpsResponse, target: HttpsTarget): SallyportError {
  const parsed = errorSchema.safeParse(json(response))
  if (!parsed.success) {
    const peer = formatAddress(target)
    if (response.status < 500) return notOurs(target)
    return problem('unavailable', `${peer} answered with HTTP status ${response.status}`, {
      hint: 'try again later',
    })
  }
  const {code, message, hint} = parsed.data.error
  return problem(isErrorCode(code) ? code : 'failure', message, hint ? {hint} : {})
}

const notOurs = ({host, port}: HttpsTarget, cause?: unknown): SallyportError =>
  problem('protocol_error', `${formatAddress({host, port})} does not answer like a Sallyport proxy`, {
    hint: 'check that --proxy names its web port',
    cause,
  })
