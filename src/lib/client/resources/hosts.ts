import {parseHostQuery} from '../../access/host-query.js'
import {type HostRecord, isOnline} from '../../access/hosts.js'
import type {AuthApi, HostsQuery} from '../../auth/contract.js'
import {nodeResource} from '../../auth/inventory/node-resource.js'
import type {NodeResource} from '../../auth/resources/types.js'
import {parseLabels} from '../../names/index.js'

/** A host as commands show it. Times are ISO 8601. */
export interface HostView {
  id: string
  kind: 'node' | 'openssh'
  hostname: string
  address?: string
  labels: Record<string, string>
  status: 'online' | 'offline'
  version?: string
  last_seen?: string
}

/** @param now Unix ms at the cluster */
const hostView = (host: HostRecord, now: number): HostView => ({
  id: host.id,
  kind: host.subKind,
  hostname: host.hostname,
  ...(host.address !== undefined && {address: host.address}),
  labels: host.labels,
  status: isOnline(host, now) ? 'online' : 'offline',
  ...(host.version !== undefined && {version: host.version}),
  ...(host.lastSeen !== undefined && {last_seen: new Date(host.lastSeen).toISOString()}),
})

/** `env=prod,team=db` */
export const labelText = (labels: Readonly<Record<string, string>>): string =>
  Object.entries(labels)
    .map(([name, value]) => `${name}=${value}`)
    .join(',')

/**
 * What `ls` was asked for: `env=prod,team=db` is labels, anything else words to look for.
 * @throws usage for a mixture
 */
function hostsQuery(filter: string | undefined, search: string | undefined): HostsQuery {
  const words = [search, filter?.includes('=') ? undefined : filter].filter(text => text !== undefined)
  return {
    ...(words.length > 0 && {search: words.join(' ')}),
    ...(filter?.includes('=') && {labels: parseLabels(filter)}),
  }
}

/** What somebody looks for: each as it was typed. */
export interface HostsWanted {
  /** `env=prod,team=db`, or a word. */
  filter?: string | undefined
  /** Words. */
  search?: string | undefined
  /** A condition, as `parseHostQuery` takes it. */
  query?: string | undefined
}

/** The hosts that fit, of those that the caller may see. @throws usage */
export async function findHosts(
  api: Pick<AuthApi, 'ping' | 'listHosts'>,
  {filter, search, query}: HostsWanted,
): Promise<HostView[]> {
  const fits = query === undefined ? () => true : parseHostQuery(query)
  const [{time}, found] = await Promise.all([api.ping(), api.listHosts(hostsQuery(filter, search))])
  return found.filter(fits).map(host => hostView(host, time))
}

/** Those that an administrator registered, as `create` reads them. */
export const registeredHosts = (hosts: readonly HostRecord[]): NodeResource[] =>
  hosts.filter(({subKind}) => subKind === 'openssh').map(nodeResource)
