import type {CreatedToken, JoinRole} from '../auth/contract.js'
import {problem} from '../errors/index.js'
import {formatRemaining} from './status.js'
import {list} from './values.js'

/** `node,proxy` as `--type` and `--roles` take it. @throws usage */
export function joinRoles(text: string, flag: string): JoinRole[] {
  const roles = list(text).map(word => (word === 'ssh' ? 'node' : word))
  if (roles.length > 0 && roles.every(role => role === 'node' || role === 'proxy'))
    return [...new Set(roles)] as JoinRole[]
  throw problem('usage', `${flag} expects node, proxy or both, not ${JSON.stringify(text.slice(0, 80))}`, {
    hint: `as in ${flag}=node,proxy`,
  })
}

/** The command that makes another machine join with this token, to be run there. */
export const startLine = (
  {token, caPins, authServer}: Pick<CreatedToken, 'token' | 'caPins' | 'authServer'>,
  roles: readonly JoinRole[],
): string =>
  [
    `sallyport start --roles=${roles.join(',')}`,
    `--token=${token}`,
    `--ca-pin=${caPins.join(',')}`,
    `--auth-server=${authServer}`,
  ].join(' ')

/** What a person needs to know of a new token. `now` in Unix ms. */
export const tokenLines = (token: CreatedToken, now: number): string =>
  [
    `Token: ${token.token}`,
    `It is good for ${formatRemaining(token.expires - now + 999)}, and once. The pin of the auth service:`,
    ...token.caPins,
    'Run this on the machine that joins:',
    startLine(token, token.roles),
  ].join('\n')
