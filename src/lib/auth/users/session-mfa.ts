import {problem, type SallyportError} from '../../errors/index.js'
import type {AuthContext} from '../context.js'
import type {AuthApi, Caller} from '../contract.js'
import {sessionCounter, userKey, userNameProblem} from '../names.js'
import {accountLocked} from './lockout.js'

/** What is told nobody apart: a user who is not there, one without an authenticator, a wrong code, one that was used. */
const wrongCode = (): SallyportError =>
  problem('bad_credentials', 'that code is wrong, or was used before', {
    hint: 'wait for the next one; five failures shut you out of new sessions for 20 minutes',
  })

/**
 * The second factor that `require_session_mfa` asks for: the code of the authenticator app, once, as at login. Failures
 * have a counter of their own: nobody without a certificate can keep a user from their sessions.
 */
export function sessionMfaMethods(
  {emit, inTurn, lockout, otp, users}: AuthContext,
  caller: Caller,
): Pick<AuthApi, 'checkSessionMfa'> {
  const here =
    caller.kind === 'system' && caller.role === 'node' && caller.hostId ? {server_id: caller.hostId} : {}
  return {
    async checkSessionMfa({user: name, code, address, ...where}) {
      const [key, counter] = [userKey(name), sessionCounter(name)]
      const facts = {
        ...here,
        ...where,
        user: name.slice(0, 64),
        'addr.remote': address,
        proto: 'ssh',
      } as const
      const record = (error?: SallyportError) =>
        emit({
          ...facts,
          event: 'mfa_auth_challenge.validate',
          ...(error && {success: false, error: error.message}),
        })
      const refuse = async (error: SallyportError): Promise<never> => {
        await record(error)
        throw error
      }
      // Nobody has such a name, and a counter for each would be more than memory.
      if (userNameProblem(name) !== undefined) return refuse(wrongCode())
      await inTurn(counter, async () => {
        // Counted before it is tried, so that many at the same time cannot all slip under the limit.
        const {refused, lockedUntil} = await lockout.charge(counter)
        if (refused) return refuse(accountLocked(lockedUntil ?? 0))
        const secret = (await users.get(key))?.value.otpSecret
        const step = secret === undefined ? undefined : await otp.match(secret, code.replaceAll(' ', ''))
        if (step === undefined || !(await otp.use(key, step))) return refuse(wrongCode())
        await lockout.clear(counter)
        await record()
      })
    },
  }
}
