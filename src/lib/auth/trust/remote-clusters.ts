import {problem, type SallyportError} from '../../errors/index.js'
import {parseAuthorizedKey} from '../../sshcert/index.js'
import type {AuthContext} from '../context.js'
import type {AuthApi, Caller, RemoteCluster, TrustRequest} from '../contract.js'
import {findToken, invalidToken, refusingGuesses} from '../join/token-use.js'
import {clusterNameProblem} from './resource.js'

type RemoteClusterMethods = Pick<AuthApi, 'establishTrust' | 'listRemoteClusters' | 'removeRemoteCluster'>

/** A cluster that rotates has two of a kind. */
const maxKeys = 8

/** The leaves of this cluster. */
export function remoteClusterMethods(
  context: AuthContext,
  caller: Caller,
  actor: string,
): RemoteClusterMethods {
  const {authorities, emit, settings, trust} = context
  return {
    async establishTrust(request) {
      const facts = {as: 'leaf', name: request.clusterName.slice(0, 255)}
      await refusingGuesses(context, caller, 'trusted_cluster.create', facts, () => enter(context, request))
      await emit({event: 'trusted_cluster.create', fields: facts})
      const lines = (type: 'user' | 'host'): string[] =>
        authorities.list().flatMap(one => (one.type === type ? one.publicKey : []))
      return {
        clusterName: settings.clusterName,
        userAuthorities: lines('user'),
        hostAuthorities: lines('host'),
      }
    },
    async listRemoteClusters() {
      const entries = await trust.leaves.entries()
      return entries.map(
        ({id, value: {hostAuthorities, joined}}): RemoteCluster => ({name: id, hostAuthorities, joined}),
      )
    },
    async removeRemoteCluster(name) {
      if (!(await trust.leaves.delete(name))) throw unknownCluster(name)
      await emit({event: 'trusted_cluster.delete', fields: {as: 'leaf', name, by: actor}})
    },
  }
}

export const unknownCluster = (name: string): SallyportError =>
  problem('not_found', `there is no cluster ${JSON.stringify(name.slice(0, 80))}`, {
    hint: 'see `sallyport clusters`',
  })

/** Uses the token up and puts the leaf down, in one step. */
async function enter(context: AuthContext, request: TrustRequest): Promise<void> {
  const {backend, now, trust} = context
  const found = await findToken(context, request.token)
  if (!found) throw invalidToken()
  if (!found.roles.includes('trusted_cluster'))
    throw problem(
      'access_denied',
      `this token is for ${found.roles.join(' and ')}, not for another cluster`,
      {
        hint: 'ask an administrator for one: sallyport tokens add --roles=trusted_cluster',
      },
    )
  const {clusterName} = request
  const wrong = clusterNameProblem(clusterName)
  if (wrong !== undefined) throw problem('invalid_input', wrong)
  const hostAuthorities = foreignKeys(context, clusterName, request.hostAuthorities)
  const record = {version: 1, hostAuthorities, joined: now()} as const
  const known = await trust.leaves.get(clusterName)
  // Whoever has a token must not take the name of a leaf that others rely on.
  if (known && known.value.hostAuthorities.join() !== hostAuthorities.join())
    throw problem('already_exists', `there is another cluster ${clusterName} already`, {
      hint: `if it was set up anew, remove the old one first: sallyport rm remote_cluster/${clusterName}`,
    })
  const written = await backend.transaction([
    ...(found.use ? [found.use] : []),
    known
      ? trust.leaves.replacing(clusterName, known.revision, record)
      : trust.leaves.creating(clusterName, record),
  ])
  if (written === undefined) throw invalidToken()
}

/**
 * The keys of another cluster as authorized_keys lines of our making. Its name and keys must be its own: what this
 * cluster signs must never count as signed elsewhere.
 * @throws invalid_input
 */
export function foreignKeys(
  {authorities, settings}: Pick<AuthContext, 'authorities' | 'settings'>,
  clusterName: string,
  lines: readonly string[],
): string[] {
  if (clusterName.toLowerCase() === settings.clusterName.toLowerCase())
    throw problem('invalid_input', 'both clusters have the same name', {
      hint: 'cluster_name has to be another one in each cluster',
    })
  if (lines.length === 0 || lines.length > maxKeys)
    throw problem('invalid_input', `a cluster has one to ${maxKeys} keys of a kind`)
  const own = authorities.list().map(({publicKey}) => parseAuthorizedKey(publicKey).blob)
  return lines.map(line => {
    const {type, blob} = parseAuthorizedKey(line)
    if (type.includes('-cert-')) throw problem('invalid_input', 'the key of an authority is no certificate')
    if (own.some(one => one.equals(blob)))
      throw problem('invalid_input', 'the other cluster shows a key of this one')
    return `${type} ${blob.toString('base64')}`
  })
}
