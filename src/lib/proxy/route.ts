import {isIP} from 'node:net'
import type {Duplex} from 'node:stream'
import {type HostRecord, isOnline} from '../access/hosts.js'
import {ambiguousHost, noSuchHost} from '../access/route.js'
import type {Identity} from '../access/types.js'
import type {AuthApi} from '../auth/contract.js'
import {problem, type SallyportError} from '../errors/index.js'
import type {Target} from '../forward/index.js'
import {isUuid, splitAddress} from '../names/index.js'
import {type Dialled, type DialSettings, dialAddresses, type Resolved, resolveTarget} from './dial.js'
import type {NamedHosts} from './named-hosts.js'
import type {TargetName} from './target-name.js'

export interface Router {
  auth: Pick<AuthApi, 'routeHost'>
  dial: DialSettings
  named: NamedHosts
  /** A stream through the tunnel that this node keeps open to this proxy; undefined where it keeps none. */
  throughTunnel?: ((hostId: string) => Promise<Duplex> | undefined) | undefined
  /** UUID of this machine: of its own node it is known where that listens. */
  hostId?: string
  /** Unix ms. */
  now: () => number
}

/**
 * Finds out what a client means: a host of the inventory, or a target that is dialled by its name or address. The name
 * is resolved at most once, for the look into the inventory and for the connection alike. What does not resolve, and what
 * must not be known of, shows at the dial alone: after the decision, which therefore reads the same for both.
 * @throws host_ambiguous, host_not_found, invalid_input
 */
export async function routeTarget(router: Router, identity: Identity, name: TargetName): Promise<Target> {
  const {host, port} = name
  const ask = (addresses?: string[]) =>
    router.auth.routeHost({identity, host, port, ...(addresses && {addresses})})
  let route = await ask()
  let resolved: Resolved | undefined
  let names: ReadonlyMap<string, string[]> = new Map()
  if (route.kind === 'none' && !isUuid(host)) {
    resolved = await resolveTarget(host, router.dial)
    const {addresses} = resolved
    if (addresses.length > 0) names = await router.named.at(addresses)
    const places = [...(isIP(host) === 0 ? addresses : []), ...names.keys()]
    if (places.length > 0) route = await ask(places)
  }
  switch (route.kind) {
    case 'host':
      return registeredTarget(router, name, route.host, names)
    case 'ambiguous':
      throw ambiguousHost(host, route.hosts)
    case 'other_port':
      throw otherPort(name, route.hosts)
    case 'hidden':
      if (isUuid(host)) throw noSuchHost(host)
      return {host, port, dial: () => Promise.reject(noSuchHost(host))}
    case 'none':
      if (!resolved) throw noSuchHost(host)
      return otherTarget(router, name, resolved)
  }
}

/** @param names with the addresses by which they were recognised: these are dialled, not what a name leads to by then */
function registeredTarget(
  router: Router,
  {host, port}: TargetName,
  registered: HostRecord,
  names: ReadonlyMap<string, string[]>,
): Target {
  const place = splitAddress(registered.address ?? '')
  const addresses = names.get(place?.host ?? '')
  return {
    ...{host, registered},
    port: place?.port ?? port,
    dial: () => dialRegistered(router, registered, addresses && {addresses}),
  }
}

/** @throws host_unreachable, dial_forbidden */
export async function dialRegistered(
  {dial, now, throughTunnel, hostId}: Router,
  registered: HostRecord,
  judged?: Resolved,
): Promise<Dialled> {
  const {id, hostname, address} = registered
  const stream = await throughTunnel?.(id)
  if (stream) return {stream, address: address ?? `tunnel:${id}`}
  const place = splitAddress(address ?? '')
  if (!place)
    throw problem('host_unreachable', `${hostname} is reached through its tunnel alone, which is not open`, {
      hint: 'see whether the node runs',
    })
  // Where an administrator put it, or where a node on another machine says it is.
  const known = registered.subKind === 'openssh' || id === hostId
  try {
    return await dialAddresses(
      {...place, [known ? 'registered' : 'claimed']: true},
      judged ?? (await resolveTarget(place.host, dial)),
      dial,
    )
  } catch (error) {
    throw isOnline(registered, now()) ? error : offline(registered, error)
  }
}

function otherTarget({dial}: Router, name: TargetName, resolved: Resolved): Target {
  const port = name.port || name.portIfUnregistered
  if (port === undefined)
    throw problem('invalid_input', 'this is not a target: the port must be from 1 to 65535', {
      hint: 'port 0 is for hosts of the inventory',
    })
  const target = {host: name.host, port}
  return {...target, dial: () => dialAddresses(target, resolved, dial)}
}

function otherPort({host, port}: TargetName, hosts: readonly HostRecord[]): SallyportError {
  const ports = hosts.map(({address = ''}) => splitAddress(address)?.port).filter(one => one !== undefined)
  return problem('host_not_found', `${host} is not at port ${port}, but at ${ports.join(', ')}`, {
    hint: `ask for port ${ports[0]}`,
  })
}

function offline({hostname, lastSeen = 0}: HostRecord, cause: unknown): SallyportError {
  const since = new Date(lastSeen).toISOString()
  return problem('host_unreachable', `${hostname} is offline: it was last heard of at ${since}`, {
    hint: 'see whether the machine is up and its service runs',
    cause,
  })
}
