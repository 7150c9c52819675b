import type {AuthApi} from '../../auth/contract.js'
import {problem} from '../../errors/index.js'
import type {SecondFactor} from '../../ssh/index.js'

/** Whose second factor is wanted, and where; for the audit log but for the user. */
interface FactorPlace {
  user: string
  login?: string
  /** `ip:port` of the user. */
  address: string
  host?: string
  /** Of a session that is joined. */
  sid?: string
}

/** Has the auth service look at a code. @throws bad_credentials, account_locked, rate_limited, unavailable */
export type CodeCheck = (code: string) => Promise<void>

export const codeCheck =
  (auth: Pick<AuthApi, 'checkSessionMfa'>, {user, login, address, host, sid}: FactorPlace): CodeCheck =>
  code => {
    // Nothing else can be a code, and what was pasted by mistake is nobody's business.
    if (!/^\d{6}$/.test(code.replaceAll(' ', '')))
      return Promise.reject(problem('bad_credentials', 'a code has six digits'))
    return auth.checkSessionMfa({
      ...{user, code, address},
      ...(login !== undefined && {login}),
      ...(host !== undefined && {server_hostname: host}),
      ...(sid !== undefined && {sid}),
    })
  }

/** What `require_session_mfa` asks for at the beginning of a connection. */
export const sessionFactor = (check: CodeCheck): SecondFactor => ({
  notice: 'a code of your authenticator app is needed for this connection, typed at a terminal',
  prompt: 'Code of your authenticator app: ',
  check,
})
