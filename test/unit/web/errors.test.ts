import {describe, expect, it} from 'vitest'
import {catalogue, type ErrorCode, problem} from '../../../src/lib/errors/index.js'
import {httpProblem, statusOf} from '../../../src/lib/web/errors.js'

describe('httpProblem', () => {
  it.each<[ErrorCode, number]>([
    ['bad_credentials', 401],
    ['otp_required', 401],
    ['account_locked', 403],
    ['access_denied', 403],
    ['token_invalid', 410],
    ['not_found', 404],
    ['already_exists', 409],
    ['invalid_input', 400],
    ['rate_limited', 429],
    ['unavailable', 503],
    ['timeout', 504],
  ])('answers %s with %i and its own words', (code, status) => {
    const found = httpProblem(problem(code, 'what', {hint: 'do'}), 'r1')
    expect(found).toMatchObject({status, error: {code, message: 'what', hint: 'do'}})
    expect(found.fault).toBeUndefined()
  })

  it.each([
    problem('internal', 'at /srv/app.js:3'),
    new Error('ENOENT /var/lib/sallyport/state.db'),
    Object.assign(new Error('/var/lib/x'), {statusCode: 500, code: 'FST_X'}),
    'thrown text /var/lib',
  ])('keeps the words of a server fault for the log: %s', thrown => {
    const found = httpProblem(thrown, 'request-1')
    expect(found).toMatchObject({status: 500, error: {code: 'internal'}, fault: thrown})
    expect(`${found.error.message} ${found.error.hint}`).not.toMatch(/\/|ENOENT/)
    expect(found.error.hint).toContain('request-1')
  })

  it('says that the store failed, and keeps where for the log', () => {
    const fault = problem('store_failed', 'cannot write /var/lib/sallyport/state.db')
    const found = httpProblem(fault, 'request-1')
    expect(found).toMatchObject({status: 507, error: {code: 'store_failed'}, fault})
    expect(`${found.error.message} ${found.error.hint}`).not.toContain('/')
    expect(found.error.hint).toContain('request-1')
  })

  it('has a client or server error status for every code', () => {
    for (const code of Object.keys(catalogue) as ErrorCode[]) {
      expect(statusOf(code)).toBeGreaterThanOrEqual(400)
      expect(statusOf(code)).toBeLessThan(600)
    }
  })
})
