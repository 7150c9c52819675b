import {formatAuthorizedKey} from '../sshcert/index.js'
import type {ProxyContext} from './context.js'

/** The answer to the subsystem `proxysites`: the clusters whose hosts can be reached from here, this one first. */
export async function sites({
  auth,
  clusterName,
  tunnels,
}: Pick<ProxyContext, 'auth' | 'clusterName' | 'tunnels'>): Promise<string> {
  const [leaves, own] = await Promise.all([auth.listRemoteClusters(), auth.trustedAuthorities()])
  const online = new Set(tunnels.clusters())
  const site = (name: string, isOnline: boolean, authorities: readonly string[]) => ({
    name,
    lastconnected: new Date().toISOString(),
    status: isOnline ? 'online' : 'offline',
    host_authorities: authorities,
  })
  const lines = own.host.map(blob => formatAuthorizedKey(blob))
  return `${JSON.stringify([
    site(clusterName, true, lines),
    ...leaves.map(({name, hostAuthorities}) => site(name, online.has(name), hostAuthorities)),
  ])}\n`
}
