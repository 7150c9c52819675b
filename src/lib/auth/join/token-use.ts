import {timingSafeEqual} from 'node:crypto'
import {asProblem, problem, type SallyportError} from '../../errors/index.js'
import {hostOfAddress} from '../../names/index.js'
import type {AuthContext} from '../context.js'
import type {Caller} from '../contract.js'
import {sha256Hex} from './joining.js'

/**
 * Tries something that a token opens. Whoever guesses tokens is slowed down; each refusal is on record, until nobody
 * listens any more.
 */
export async function refusingGuesses<Result>(
  {emit, joining}: AuthContext,
  caller: Caller,
  event: 'instance.join' | 'trusted_cluster.create',
  fields: Record<string, unknown>,
  attempt: () => Promise<Result>,
): Promise<Result> {
  const from = remoteAddress(caller)
  // Failures of a machine count together, whichever connection they come on.
  const remote = from['addr.remote'] ?? ''
  const address = caller.kind === 'system' ? hostOfAddress(remote) : remote
  try {
    joining.failures.check(address)
    return await attempt()
  } catch (error) {
    const {code, message} = asProblem(error)
    if (code === 'token_invalid') joining.failures.failed(address)
    if (code !== 'rate_limited') await emit({event, success: false, error: message, ...from, fields})
    throw error
  }
}

/** Where a caller is, for an event. */
export const remoteAddress = (caller: Caller): {'addr.remote'?: string} =>
  (caller.kind === 'anonymous' || caller.kind === 'system') && caller.address !== undefined
    ? {'addr.remote': caller.address}
    : {}

/** A token that is good now, and the step that uses it up; none for one of the configuration. */
export async function findToken({joining, settings, now}: AuthContext, token: string) {
  const id = sha256Hex(token)
  const same = (value: string): boolean => timingSafeEqual(Buffer.from(sha256Hex(value)), Buffer.from(id))
  const fixed = (settings.staticTokens ?? []).find(({value}) => same(value))
  if (fixed) return {roles: fixed.roles, use: undefined}
  const stored = await joining.tokens.get(id)
  if (!stored || stored.value.expires <= now()) return undefined
  return {roles: stored.value.roles, use: joining.tokens.deleting(id, stored.revision)}
}

export const invalidToken = (): SallyportError =>
  problem('token_invalid', 'the join token is not valid: it was used, has expired or never existed', {
    hint: 'make a new one on the auth host: sallyport nodes add',
  })
