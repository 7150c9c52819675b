import type {FastifyError} from 'fastify'
import {type ErrorCode, problem, SallyportError} from '../errors/index.js'

/** A coded error with the HTTP status it is answered with. */
export interface HttpProblem {
  status: number
  error: SallyportError
  /** The original, when it is the server's fault and belongs in its log. */
  fault?: unknown
}

const statuses: Partial<Record<ErrorCode, number>> = {
  usage: 400,
  invalid_input: 400,
  protocol_error: 400,
  clock_skew: 400,
  bad_credentials: 401,
  otp_required: 401,
  not_logged_in: 401,
  certificate_expired: 401,
  certificate_rejected: 403,
  account_locked: 403,
  access_denied: 403,
  not_found: 404,
  host_not_found: 404,
  already_exists: 409,
  token_invalid: 410,
  rate_limited: 429,
  limit_exceeded: 429,
  unavailable: 503,
  service_not_running: 503,
  timeout: 504,
  store_failed: 507,
}

/** 500 for every code that a remote caller has no part in. */
export const statusOf = (code: ErrorCode): number => statuses[code] ?? 500

/**
 * Anything thrown while serving a request, as what the client may see. Faults of the server keep their words for
 * its log: they may name files, and tell a stranger nothing that he could act on.
 */
export function httpProblem(thrown: unknown, requestId: string): HttpProblem {
  if (thrown instanceof SallyportError) {
    const status = statusOf(thrown.code)
    if (thrown.code === 'store_failed') return {status, error: notStored(requestId), fault: thrown}
    return status === 500 ? serverFault(thrown, requestId) : {status, error: thrown}
  }
  const known = isFastifyError(thrown) ? frameworkProblems[thrown.code] : undefined
  if (known) return {status: known.status, error: problem(known.code, known.message, {hint: known.hint})}
  const status = isFastifyError(thrown) ? thrown.statusCode : undefined
  return status !== undefined && status >= 400 && status < 500
    ? {status, error: problem('invalid_input', 'the request is not valid HTTP for this service')}
    : serverFault(thrown, requestId)
}

/** Nothing is done that cannot be put on record. */
const notStored = (requestId: string): SallyportError =>
  problem('store_failed', 'the server cannot store what has to be on record, and so does nothing', {
    hint: `ask its administrator to make room, and to look for request ${requestId} in the log`,
  })

const serverFault = (fault: unknown, requestId: string): HttpProblem => ({
  status: 500,
  error: problem('internal', 'the server met an error it did not expect', {
    hint: `ask its administrator to look for request ${requestId} in the log`,
  }),
  fault,
})

const isFastifyError = (thrown: unknown): thrown is FastifyError =>
  thrown instanceof Error && 'code' in thrown

interface FrameworkProblem {
  status: number
  code: ErrorCode
  message: string
  hint: string
}

const badJson: FrameworkProblem = {
  status: 400,
  code: 'invalid_input',
  message: 'the request body is not valid JSON',
  hint: 'send one JSON object',
}

const frameworkProblems: Record<string, FrameworkProblem> = {
  FST_ERR_CTP_BODY_TOO_LARGE: {
    status: 413,
    code: 'limit_exceeded',
    message: 'the request body is too large',
    hint: 'send at most 64 kB',
  },
  FST_ERR_CTP_INVALID_MEDIA_TYPE: {
    status: 415,
    code: 'invalid_input',
    message: 'the request body has a content type that is not accepted here',
    hint: 'send application/json to /webapi, and forms from their own page',
  },
  FST_ERR_CTP_INVALID_CONTENT_LENGTH: {
    status: 400,
    code: 'invalid_input',
    message: 'the request body is not as long as its headers say',
    hint: 'send the request again',
  },
  FST_ERR_CTP_EMPTY_JSON_BODY: badJson,
  FST_ERR_CTP_INVALID_JSON_BODY: badJson,
  FST_ERR_HANDLER_TIMEOUT: {
    status: 503,
    code: 'unavailable',
    message: 'the server is too busy to answer in time',
    hint: 'try again in a minute',
  },
}
