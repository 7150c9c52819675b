import {randomBytes} from 'node:crypto'
import {problem} from '../../errors/index.js'
import {authorityPin} from '../../pki/index.js'
import type {AuthContext} from '../context.js'
import type {AuthApi, Caller, TokenRole} from '../contract.js'
import {sha256Hex} from './joining.js'

const defaultTtlSeconds = 30 * 60
const maxTtlSeconds = 48 * 3600
const minTtlSeconds = 60
/** Each list and each removal looks at all of them. */
const maxTokens = 1000

/**
 * What a user with the right gives tokens for. A proxy has hosts certified by any name, and another cluster brings hosts of
 * its own: who comes as one of these is for administrators to say.
 */
const rolesOfUsers: ReadonlySet<TokenRole> = new Set(['node', 'openssh'])

/** Administration of the tokens that machines join with. `actor` is the name of who asks. */
export function joinTokenMethods(
  context: AuthContext,
  caller: Caller,
  actor: string,
): Pick<AuthApi, 'createToken' | 'listTokens' | 'removeToken'> {
  const {authorities, emit, joining, now, settings} = context
  const {tokens} = joining
  return {
    async createToken({roles: wished, ttlSeconds = defaultTtlSeconds, value}) {
      const roles = checkRoles(wished)
      if (caller.kind !== 'admin') checkUser(roles, value)
      if (!(ttlSeconds >= minTtlSeconds && ttlSeconds <= maxTtlSeconds))
        throw problem('invalid_input', 'a join token lives from one minute to 48 hours', {
          hint: 'use --ttl=30m',
        })
      if (value !== undefined) checkValue(value)
      if ((await tokens.list()).length >= maxTokens)
        throw problem('limit_exceeded', `there are ${maxTokens} join tokens already`, {
          hint: 'remove some, or use one token in the configuration (auth_service.tokens)',
        })
      const token = value ?? randomBytes(16).toString('hex')
      const id = randomBytes(4).toString('hex')
      const expires = now() + Math.floor(ttlSeconds * 1000)
      const record = {version: 1, ...{id, roles, expires}, createdBy: actor} as const
      if (isStatic(context, token) || !(await tokens.create(sha256Hex(token), record, expires)))
        throw problem('already_exists', 'there is such a token already', {hint: 'leave --value out'})
      const facts = {by: actor, token: id, roles, expires: new Date(expires).toISOString()}
      await emit({event: 'join_token.create', fields: facts})
      const caPins = authorities.tlsHostAuthorities().map(authorityPin)
      const {clusterName} = settings
      return {id, token, roles, expires, caPins, authServer: joining.authAddress(), clusterName}
    },
    async listTokens() {
      const stored = (await tokens.list()).sort((a, b) => a.expires - b.expires)
      return [
        ...stored.map(({id, roles, expires, createdBy}) => ({id, roles, expires, createdBy})),
        ...(settings.staticTokens ?? []).map(({roles}) => ({roles: [...roles], createdBy: 'configuration'})),
      ]
    },
    async removeToken(idOrToken) {
      // That a token exists would tell others than administrators that they guessed right.
      const isAdmin = caller.kind === 'admin'
      if (isAdmin && isStatic(context, idOrToken))
        throw problem('invalid_input', 'this token stands in the configuration', {
          hint: 'take it out of auth_service.tokens and start the service again',
        })
      const key = isAdmin ? sha256Hex(idOrToken) : undefined
      const found = (await tokens.entries()).find(({id, value}) => id === key || value.id === idOrToken)
      if (!found || !(await tokens.delete(found.id)))
        throw problem('not_found', 'there is no such token: it was used, has expired or never existed', {
          hint: 'see `sallyport tokens ls`',
        })
      await emit({event: 'join_token.delete', fields: {by: actor, token: found.value.id}})
    },
  }
}

const isStatic = ({settings}: AuthContext, token: string): boolean =>
  (settings.staticTokens ?? []).some(({value}) => sha256Hex(value) === sha256Hex(token))

function checkRoles(wished: readonly TokenRole[]): TokenRole[] {
  if (wished.length > 0) return [...new Set(wished)].sort()
  throw problem('invalid_input', 'a token is for proxies, for nodes, for both, or for other clusters', {
    hint: 'as in --roles=node, --roles=node,proxy or --roles=trusted_cluster',
  })
}

/** @throws access_denied */
function checkUser(roles: readonly TokenRole[], value: string | undefined): void {
  const more = roles.filter(role => !rolesOfUsers.has(role))
  if (more.length > 0)
    throw problem('access_denied', `tokens for ${more.join(' and ')} are made by administrators alone`, {
      hint: 'run this on the auth host',
    })
  // That it is taken would tell whoever guesses that they guessed right.
  if (value !== undefined)
    throw problem('access_denied', 'tokens of their own choosing are for administrators', {
      hint: 'leave --value out for a random one',
    })
}

/** Whoever chooses a token chooses one that cannot be guessed, and that a shell and a file keep as it is. */
function checkValue(value: string): void {
  if (/^[A-Za-z0-9._-]{16,128}$/.test(value)) return
  throw problem('invalid_input', 'a token of your own has 16 to 128 letters, digits and ._-', {
    hint: 'leave --value out for a random one',
  })
}
