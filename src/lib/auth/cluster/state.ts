import type {HostRecord} from '../../access/index.js'
import type {AccessState} from '../access/state.js'
import {roleOf} from '../access/stored-roles.js'
import type {AuthContext} from '../context.js'
import type {AuthApi, Caller, ClusterState} from '../contract.js'
import {toWire} from '../http/wire.js'
import {indexKeys} from '../inventory/inventory.js'
import {userKey} from '../names.js'
import {stateForNode} from './node-state.js'
import {watchState} from './watch-state.js'

/** The whole state is sent each time, so changes that come together are sent together. */
const pauseMilliseconds = 1000
const prefixes = ['users/', 'roles/', 'locks/']

/** What roles on other machines know of the cluster, in case they lose the auth service. */
export function clusterStateMethods(context: AuthContext, caller: Caller): Pick<AuthApi, 'watchCluster'> {
  const node = caller.kind === 'system' && caller.role === 'node' ? caller : undefined
  const see = (state: ClusterState): ClusterState => (node ? stateForNode(state, node.hostId) : state)
  // Of the beats of thousands of others a node need not even be woken.
  const hosts = node ? `hosts/${node.hostId}` : 'hosts/'
  return {watchCluster: async ({signal}) => watch(context, {see, hosts, signal})}
}

async function read({
  authorities,
  inventory,
  locks,
  roles,
  settings,
  users,
}: AuthContext): Promise<ClusterState> {
  const {clusterName, recording, access, routingStrategy, forRoles} = settings
  return {
    ...{clusterName, recording, access},
    checkHostKeys: forRoles?.checkHostKeys ?? true,
    keepAliveMilliseconds: forRoles?.keepAliveMilliseconds ?? 300_000,
    ...(routingStrategy && {routingStrategy}),
    authorities: {
      user: authorities.publicKeys('user'),
      host: authorities.publicKeys('host'),
      openssh: authorities.publicKeys('openssh'),
    },
    machineAuthorities: authorities.tlsHostAuthorities(),
    users: (await users.list()).map(({name, logins, roles: given}) => ({name, logins, roles: given})),
    roles: (await roles.list()).map(({resource}) => resource),
    locks: await locks.list(),
    hosts: (await inventory.list()).map(lasting),
  }
}

/** Who was heard of when changes all the time, and means nothing to whoever hears of nobody. */
const lasting = ({lastSeen: _seen, expires: _expires, ...host}: HostRecord): HostRecord => host

interface Watching {
  /** What whoever watches may see of it. */
  see(state: ClusterState): ClusterState
  /** Prefix of the hosts whose changes can be seen. */
  hosts: string
  signal: AbortSignal
}

async function* watch(context: AuthContext, {see, hosts, signal}: Watching): AsyncGenerator<ClusterState> {
  const states = watchState({
    ...{backend: context.backend, prefixes: [...prefixes, hosts], signal, pauseMs: pauseMilliseconds},
    read: async () => see(await read(context)),
  })
  let last = ''
  for await (const state of states) {
    const text = toWire(state)
    if (text !== last) yield state
    last = text
  }
}

/** The same decisions from what was known last. */
export function accessStateOf(state: ClusterState, now: () => number): AccessState {
  const users = new Map(state.users.map(user => [userKey(user.name), {value: user}]))
  const roles = new Map(state.roles.map(role => [role.metadata.name, role]))
  const hosts = new Map(state.hosts.map(host => [host.id, host]))
  return {
    users: {get: async id => users.get(id)},
    roles: {
      async named(wanted) {
        const found = [...new Set(wanted)].map(name => roles.get(name))
        return found.flatMap(resource => (resource ? [roleOf(resource)] : []))
      },
    },
    locks: {
      async list() {
        return state.locks.filter(({expires}) => expires === undefined || expires > now())
      },
    },
    inventory: {
      get: async id => hosts.get(id),
      async matching(wanted) {
        return state.hosts.filter(host => indexKeys(host).some(name => name !== '' && wanted.includes(name)))
      },
    },
    settings: {
      access: state.access,
      ...(state.routingStrategy && {routingStrategy: state.routingStrategy}),
    },
    now,
  }
}
