import {problem} from '../../errors/index.js'
import {watchState} from '../cluster/watch-state.js'
import type {AuthContext} from '../context.js'
import type {AuthApi, ResourceOutcome, TrustedCluster} from '../contract.js'
import {resourceExists} from '../resources/resource.js'
import {type StoredTrustedCluster, trustedClustersPrefix} from './records.js'
import {foreignKeys, unknownCluster} from './remote-clusters.js'
import {type TrustDefinition, trustResource} from './resource.js'

type TrustedClusterMethods = Pick<
  AuthApi,
  'listTrustedClusters' | 'removeTrustedCluster' | 'watchTrustedClusters'
>

/** The roots: clusters whose users this one lets in, by its own roles. */
export function trustedClusterMethods(context: AuthContext, actor: string): TrustedClusterMethods {
  const {backend, emit, trust} = context
  const list = async (): Promise<TrustedCluster[]> =>
    (await trust.roots.entries()).map(
      ({id, value: {version: _version, created: _created, ...rest}}): TrustedCluster => ({name: id, ...rest}),
    )
  return {
    listTrustedClusters: async () =>
      (await trust.roots.entries()).map(({id, value}) => trustResource(id, value)),
    async removeTrustedCluster(name) {
      if (!(await trust.roots.delete(name))) throw unknownCluster(name)
      await emit({event: 'trusted_cluster.delete', fields: {as: 'root', name, by: actor}})
    },
    watchTrustedClusters: async ({signal}) =>
      watchState({backend, prefixes: [trustedClustersPrefix], read: list, signal}),
  }
}

/**
 * Comes to trust another cluster: asks it, with the token it gave, for the keys that its users and hosts are known by;
 * it gets to know this cluster's. Once they have been exchanged the token is used up.
 * @throws already_exists, what the other cluster says, and invalid_input when it is another one than was meant
 */
export async function createTrustedCluster(
  context: AuthContext,
  definition: TrustDefinition,
  force: boolean,
  actor: string,
): Promise<ResourceOutcome> {
  const {emit, trust} = context
  const {name, tunnelAddress, roleMap, enabled} = definition
  const known = await trust.roots.get(name)
  if (known && !force) throw resourceExists(`trusted cluster ${name}`)
  await trust.roots.put(name, await establish(context, definition))
  const fields = {as: 'root', name, by: actor, enabled, tunnel_addr: tunnelAddress, role_map: roleMap}
  await emit({event: 'trusted_cluster.create', fields})
  return {kind: 'trusted_cluster', name, outcome: known ? 'updated' : 'created'}
}

async function establish(
  context: AuthContext,
  {name, enabled, pins, roleMap, token, tunnelAddress}: TrustDefinition,
): Promise<StoredTrustedCluster> {
  const {authorities, establishTrust, now, settings} = context
  const own = authorities.list().flatMap(({type, publicKey}) => (type === 'host' ? publicKey : []))
  const request = {token, clusterName: settings.clusterName, hostAuthorities: own}
  const answer = await establishTrust({address: tunnelAddress, pins}, request)
  if (answer.clusterName !== name)
    throw problem('invalid_input', `the cluster at ${tunnelAddress} is ${answer.clusterName}, not ${name}`, {
      hint: 'metadata.name is the name that the other cluster has',
    })
  return {
    ...{version: 1, enabled, tunnelAddress, created: now()},
    roleMap: roleMap.map(({remote, local}) => ({remote, local: [...local]})),
    userAuthorities: foreignKeys(context, name, answer.userAuthorities),
    hostAuthorities: foreignKeys(context, name, answer.hostAuthorities),
  }
}
