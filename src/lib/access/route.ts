import {problem, SallyportError} from '../errors/index.js'
import {splitAddress} from '../names/index.js'
import {type HostRecord, isOnline} from './hosts.js'

/** What somebody asked for, as far as it says which host of the inventory is meant. */
export interface RouteRequest {
  /** UUID, name or address; canonical. */
  host: string
  /** 0: whichever the host has. */
  port: number
  /** What the name resolves to. */
  addresses?: readonly string[]
}

/** How hosts that fit equally are told apart: not at all, or by who was heard of last, registered hosts before nodes. */
export type RoutingStrategy = 'unambiguous_match' | 'most_recent'

const sshPort = 22

export type Route =
  | {kind: 'host'; host: HostRecord}
  /** Several fit equally well. */
  | {kind: 'ambiguous'; hosts: HostRecord[]}
  /** The name is in the inventory, with another port. */
  | {kind: 'other_port'; hosts: HostRecord[]}
  /** There is such a host, and who asks must not learn of it. */
  | {kind: 'hidden'}
  /** Nothing in the inventory. */
  | {kind: 'none'}

export interface Found {
  host: HostRecord
  /** Whether who asks may see it. */
  visible: boolean
}

export interface RouteSettings {
  strategy: RoutingStrategy
  /** Unix ms. */
  now: number
}

/**
 * Which host of the inventory is meant. Pure. The exact UUID wins; then the name or the address as it was typed; then an
 * address that the name resolves to. The port has to be the host's, or 0; by its name a host is meant with 22 as well where
 * none of that name is there, for that is what ssh says when nobody named a port. Hosts that are hidden from who asks are no
 * rivals of those that are not, and never let a request through to an unregistered target of the same name.
 */
export function chooseHost(found: readonly Found[], request: RouteRequest, settings: RouteSettings): Route {
  const seen = found.filter(({visible}) => visible).map(({host}) => host)
  const route = choose(seen, request, settings)
  if (route.kind === 'host' || route.kind === 'ambiguous') return route
  const hidden = found.filter(({visible}) => !visible).map(({host}) => host)
  return choose(hidden, request, settings).kind === 'none' ? route : {kind: 'hidden'}
}

function choose(hosts: readonly HostRecord[], request: RouteRequest, settings: RouteSettings): Route {
  const byId = hosts.find(({id}) => id === request.host)
  if (byId) return {kind: 'host', host: byId}
  const named = hosts.filter(
    ({hostname, names = []}) => hostname === request.host || names.includes(request.host),
  )
  const literal = hosts.filter(host => addressOf(host) === request.host)
  const resolved = hosts.filter(host => (request.addresses ?? []).includes(addressOf(host) ?? ''))
  for (const tier of [[...new Set([...named, ...literal])], resolved]) {
    const fitting = tier.filter(host => portFits(host, request.port))
    if (fitting.length > 0) return settle(fitting, settings)
  }
  if (named.length > 0 && request.port === sshPort) return settle(named, settings)
  // By a name no other sshd is meant than the one that has it; an address may have several.
  return named.length > 0 ? {kind: 'other_port', hosts: named} : {kind: 'none'}
}

function settle(hosts: readonly HostRecord[], {strategy, now}: RouteSettings): Route {
  const online = hosts.filter(host => isOnline(host, now))
  const rivals = online.length > 0 ? online : hosts
  // What a node says of itself does not beat what an administrator says of a host.
  const ordered = [...rivals].sort(
    (a, b) => byVouched(a, b) || recency(b) - recency(a) || (a.id < b.id ? -1 : 1),
  )
  const [first] = ordered
  if (!first) return {kind: 'none'}
  return ordered.length === 1 || strategy === 'most_recent'
    ? {kind: 'host', host: first}
    : {kind: 'ambiguous', hosts: ordered}
}

const byVouched = (a: HostRecord, b: HostRecord): number =>
  Number(b.subKind === 'openssh') - Number(a.subKind === 'openssh')

const recency = ({lastSeen, registered}: HostRecord): number => lastSeen ?? registered ?? 0

const addressOf = ({address}: HostRecord): string | undefined =>
  address === undefined ? undefined : splitAddress(address)?.host

/** A host that only its tunnel leads to has no port of its own. */
const portFits = ({address}: HostRecord, port: number): boolean =>
  port === 0 || address === undefined || splitAddress(address)?.port === port

const maxListed = 5

/** The refusal to guess which of several hosts is meant. */
export function ambiguousHost(name: string, hosts: readonly HostRecord[]): SallyportError {
  const listed = hosts
    .slice(0, maxListed)
    .map(({id, hostname, address}) => `${id} (${hostname}${address === undefined ? '' : ` ${address}`})`)
  const more = hosts.length > maxListed ? ` and ${hosts.length - maxListed} more` : ''
  return problem('host_ambiguous', `${name} means ${hosts.length} hosts: ${listed.join(', ')}${more}`, {
    hint: 'name one by its UUID in place of its name',
  })
}

/**
 * Said alike of a host that is not there and of one that somebody may not see.
 * @param reason the true one, for the record alone
 */
export const noSuchHost = (name: string, reason?: string): SallyportError =>
  problem('host_not_found', `there is no host ${name} among those that you may reach`, {
    hint: '`sallyport ls` shows them',
    ...(reason !== undefined && {cause: problem('access_denied', reason)}),
  })

/** What goes on record of a refusal: all of it, where somebody was told less. */
export const onRecord = (error: SallyportError): SallyportError =>
  error.code === 'host_not_found' && error.cause instanceof SallyportError ? error.cause : error
