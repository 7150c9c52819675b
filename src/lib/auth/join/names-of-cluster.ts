import {isLoopbackAddress} from '../../access/index.js'
import type {AuthContext} from '../context.js'

/** What the proxy goes by: who had such a name could stand in for it. */
export async function namesOfCluster({
  settings,
  publicUrl,
}: Pick<AuthContext, 'settings' | 'publicUrl'>): Promise<string[]> {
  const {hostname} = new URL(await publicUrl())
  const own = [settings.clusterName, hostname.replace(/^\[(.*)\]$/, '$1'), ...(settings.proxyNames ?? [])]
  return own.map(name => name.toLowerCase())
}

/** Names of the cluster, and those that mean every machine to itself. */
export const isReserved = (own: readonly string[], name: string): boolean =>
  own.includes(name) || isLoopbackAddress(name) || /^(.*\.)?localhost$/.test(name)
