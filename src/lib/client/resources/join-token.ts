import type {CreatedToken, JoinRole, TokenRole} from '../../auth/contract.js'
import {problem} from '../../errors/index.js'
import {formatRemaining} from '../login/status.js'
import {list} from '../values.js'

/** `node,proxy` as `--roles` takes it. @throws usage */
export function joinRoles(text: string, flag: string): JoinRole[] {
  const roles = list(text).map(word => (word === 'ssh' ? 'node' : word))
  if (roles.length > 0 && roles.every(role => role === 'node' || role === 'proxy'))
    return [...new Set(roles)] as JoinRole[]
  throw problem('usage', `${flag} expects node, proxy or both, not ${JSON.stringify(text.slice(0, 80))}`, {
    hint: `as in ${flag}=node,proxy`,
  })
}

/** `node`, `proxy`, `node,proxy`, `openssh` or `trusted_cluster`, as `tokens add --roles` takes them. @throws usage */
export function tokenRoles(text: string, flag: string): TokenRole[] {
  const word = list(text).join()
  return word === 'trusted_cluster' || word === 'openssh' ? [word] : joinRoles(text, flag)
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

/** The command that enrols a plain sshd host with this token, to be run there as root. */
const enrolLine = ({token, caPins, authServer}: CreatedToken): string =>
  [
    'sallyport join openssh',
    `--token=${token}`,
    `--ca-pin=${caPins.join(',')}`,
    `--auth-server=${authServer}`,
  ].join(' ')

/** What a person needs to know of a new token. `now` in Unix ms. */
export function tokenLines(token: CreatedToken, now: number): string {
  const joining = token.roles.filter(role => role !== 'trusted_cluster' && role !== 'openssh')
  return [
    `Token: ${token.token}`,
    `It is good for ${formatRemaining(token.expires - now + 999)}, and once. The pin of the auth service:`,
    ...token.caPins,
    ...(token.roles.includes('openssh')
      ? ['Run this as root on the host that is enrolled:', enrolLine(token)]
      : joining.length > 0
        ? ['Run this on the machine that joins:', startLine(token, joining)]
        : [
            'In the cluster that is to let your users in, `sallyport create -f` this file:',
            trustFile(token),
          ]),
  ].join('\n')
}

/** A resource for the other cluster; where the tunnel port is, and what users may do there, is left to say. */
const trustFile = ({token, caPins, clusterName}: CreatedToken): string => `kind: trusted_cluster
version: v1
metadata: {name: ${clusterName}}
spec:
  token: ${token}
  ca_pin: ${caPins.join(',')}
  tunnel_addr: proxy.example.com:3024
  role_map:
    - {remote: access, local: [access]}`
