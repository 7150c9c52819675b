import type {AuthApi} from '../auth/contract.js'
import {problem} from '../errors/index.js'
import type {OuterConnection, Target} from '../forward/index.js'
import {parseAuthorizedKey} from '../sshcert/index.js'
import type {Tunnels} from '../tunnel/index.js'
import type {TargetName} from './target-name.js'

/** How hosts of other clusters are reached from here. */
export interface LeafWay {
  auth: Pick<AuthApi, 'listRemoteClusters'>
  tunnels: Pick<Tunnels, 'dialForeign'>
}

/** Whoever wants to go there: the certificate of the connection to the proxy, and both ends of it, `ip:port`. */
export interface LeafClient extends Pick<OuterConnection, 'remoteAddress' | 'localAddress'> {
  certificate: Buffer
}

/**
 * A host of a leaf: the leaf's own proxy looks for it, decides whether this user may go there, and connects. Its host
 * certificate has to be of the leaf.
 * @throws host_not_found for a cluster that is none of ours
 */
export async function leafTarget(
  {auth, tunnels}: LeafWay,
  {certificate, remoteAddress, localAddress}: LeafClient,
  {host, port}: TargetName,
  cluster: string,
): Promise<Target> {
  const leaf = (await auth.listRemoteClusters()).find(({name}) => name === cluster)
  if (!leaf)
    throw problem('host_not_found', `the cluster ${cluster} is not known here`, {
      hint: '`sallyport clusters` shows those that are',
    })
  const hostAuthorities = leaf.hostAuthorities.map(line => parseAuthorizedKey(line).blob)
  const asked = {certificate, host, port, remoteAddress, localAddress}
  return {
    ...{host, port, cluster: {name: cluster, hostAuthorities}},
    async dial(login) {
      const wish = {...asked, ...(login !== undefined && {login})}
      const {stream, terms, ended} = await tunnels.dialForeign(cluster, wish)
      return {stream, address: `${host}:${port}@${cluster}`, terms: {...terms, ended}}
    },
  }
}
