import {isDeepStrictEqual} from 'node:util'
import {z} from 'zod'
import {
  ambiguousHost,
  type HostRecord,
  hostHasWords,
  mayReach,
  mayUse,
  type Role,
} from '../../access/index.js'
import {problem, type SallyportError} from '../../errors/index.js'
import {isUuid, splitAddress} from '../../names/index.js'
import {routeCurrent} from '../access/current-route.js'
import type {AuthContext} from '../context.js'
import type {AuthApi, Caller, HostsQuery, RegisteredHost} from '../contract.js'
import type {StoredHost} from '../records.js'
import {readResource} from '../resources/resource.js'
import {rememberedMilliseconds} from './inventory.js'
import {
  canonicalHostname,
  hostAddress,
  hostnameProblem,
  labelsProblem,
  nodeResource,
  storedNode,
} from './node-resource.js'

type HostMethods = Pick<
  AuthApi,
  'heartbeat' | 'listHosts' | 'routeHost' | 'getHost' | 'updateHost' | 'removeHost'
>

/** The inventory: who is in it, who sees it, and where a name leads. */
export function hostMethods(context: AuthContext, caller: Caller, roles: readonly Role[]): HostMethods {
  const {inventory, now, emit} = context
  const actor = caller.kind === 'user' ? caller.name : caller.kind
  const maySee = (host: HostRecord): boolean =>
    caller.kind !== 'user' || mayUse(roles, 'node', 'list') || mayReach(roles, caller, host.labels)
  const find = async (name: string): Promise<HostRecord> => {
    const asked = canonicalHostname(name)
    const fitting = (await inventory.matching([asked])).filter(
      ({id, hostname}) => id === asked || hostname === asked,
    )
    const [found, second] = fitting
    if (!found) throw unknownHost(name)
    if (second) throw ambiguousHost(asked, fitting)
    return found
  }
  const registeredAt = async (address: string): Promise<HostRecord | undefined> =>
    (await inventory.matching([splitAddress(address)?.host ?? ''])).find(
      other => other.subKind === 'openssh' && other.address === address,
    )
  const registeredAs = async (name: string): Promise<HostRecord | undefined> =>
    (await inventory.matching([name])).find(({subKind}) => subKind === 'openssh')
  const registered = async (name: string): Promise<RegisteredHost> => {
    const host = await find(name)
    if (host.subKind !== 'openssh') throw ownNode(host)
    const stored = await inventory.records.get(host.id)
    if (!stored) throw unknownHost(name)
    return {resource: nodeResource(host), revision: stored.revision}
  }
  return {
    async heartbeat(host) {
      if (caller.kind !== 'system' || caller.hostId === undefined || caller.hostId !== host.id)
        throw problem('access_denied', 'a node speaks for itself alone')
      const known = await inventory.get(host.id)
      if (known?.subKind === 'openssh')
        throw problem('already_exists', 'this UUID is that of a registered OpenSSH host')
      const beat = now()
      const heard = beating(host, beat)
      const there = heard.address === undefined ? undefined : await registeredAt(heard.address)
      // A node of this process is believed.
      const namesake = caller.address === undefined ? undefined : await registeredAs(heard.hostname)
      if (there ?? namesake) await inventory.records.delete(host.id)
      // Its labels would decide who may go to that host.
      if (there)
        throw problem('already_exists', `another host is registered at ${heard.address}: ${there.hostname}`, {
          hint: 'set advertise_ip to where this node is reached, or remove that host: sallyport rm node/UUID',
        })
      // Whoever asks for that host would be led to it, or be told that the name is ambiguous.
      if (namesake)
        throw problem('already_exists', `another host is registered by the name of ${heard.hostname}`, {
          hint: 'choose a name with --nodename, or remove that host: sallyport rm node/UUID',
        })
      await inventory.records.put(host.id, heard, beat + rememberedMilliseconds)
    },
    async listHosts(query) {
      const wanted = hostFilter(query)
      return (await inventory.list()).filter(host => maySee(host) && wanted(host))
    },
    routeHost: request => routeCurrent(context, request),
    getHost: registered,
    async updateHost({resource, revision}) {
      const definition = readResource(resource)
      if (definition.kind !== 'node') throw problem('invalid_input', 'this is not a node')
      const current = await registered(definition.name)
      const changed = storedNode(definition, now(), (await inventory.records.get(definition.name))?.value)
      if (isDeepStrictEqual(current.resource, nodeResource({...definition, id: definition.name})))
        return current
      if (!(await inventory.records.replace(definition.name, revision, changed)))
        throw problem(
          'unavailable',
          `the node ${definition.name} was changed by somebody else in the meantime`,
          {
            hint: 'look at it and change it again',
          },
        )
      await emit({event: 'node.updated', fields: hostFacts(actor, definition.name, changed)})
      return registered(definition.name)
    },
    async removeHost(name) {
      const host = await find(name)
      if (!(await inventory.records.delete(host.id))) throw unknownHost(name)
      await emit({event: 'node.deleted', fields: hostFacts(actor, host.id, host)})
    },
  }
}

/** What the audit log says of a change to the inventory. */
export const hostFacts = (
  by: string,
  id: string,
  {hostname, address, labels}: Pick<StoredHost, 'hostname' | 'address' | 'labels'>,
): Record<string, unknown> => ({by, name: id, hostname, ...(address !== undefined && {address}), labels})

/** What one node says must not keep all others from being read. */
const heartbeatSchema = z.object({
  id: z.string(),
  hostname: z.string().max(1024),
  address: z.string().max(300).optional(),
  labels: z.record(z.string(), z.string()),
  tunnel: z.boolean().optional(),
  version: z.string().optional(),
})

/** What a node says of itself, bounded before it is kept. @throws invalid_input */
function beating(given: HostRecord, lastSeen: number): StoredHost {
  const {data: host} = heartbeatSchema.safeParse(given)
  // A record of zod passes over the key `__proto__`.
  if (!host || Object.hasOwn(given.labels, '__proto__'))
    throw problem('invalid_input', 'this is not what a node says of itself')
  const hostname = canonicalHostname(host.hostname)
  const address = host.address === undefined ? undefined : hostAddress(host.address)
  const wrong =
    (isUuid(host.id) ? undefined : 'the id of a node is a UUID') ??
    hostnameProblem(hostname) ??
    labelsProblem(host.labels) ??
    (host.address !== undefined && address === undefined
      ? 'the address of a node is host:port'
      : undefined) ??
    (host.version !== undefined && host.version.length > 64 ? 'the version of a node is short' : undefined)
  if (wrong !== undefined) throw problem('invalid_input', wrong)
  return {
    version: 1,
    subKind: 'node',
    ...{hostname, labels: host.labels, lastSeen},
    ...(address !== undefined && {address}),
    ...(host.tunnel === true && {tunnel: true}),
    ...(host.version !== undefined && {release: host.version}),
  }
}

/** Which hosts are looked for. */
export function hostFilter({search = '', labels = {}}: HostsQuery): (host: HostRecord) => boolean {
  return host =>
    hostHasWords(host, search) &&
    Object.entries(labels).every(
      ([name, value]) => Object.hasOwn(host.labels, name) && (value === '*' || host.labels[name] === value),
    )
}

const unknownHost = (name: string): SallyportError =>
  problem('not_found', `there is no node ${JSON.stringify(name.slice(0, 80))}`, {
    hint: 'see `sallyport nodes ls`',
  })

const ownNode = ({id, hostname}: HostRecord): SallyportError =>
  problem(
    'invalid_input',
    `${hostname} (${id}) is a node of our own: what it is like stands in its configuration`,
  )
