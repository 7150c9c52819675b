import {type HostRecord, hostOfAddress} from '../access/index.js'
import type {AccessState} from './access-state.js'
import type {AuthContext} from './context.js'
import type {AuthApi, ClusterState} from './contract.js'
import {userKey} from './names.js'
import {roleOf} from './stored-roles.js'
import {toWire} from './wire.js'

/** The whole state is sent each time, so changes that come together are sent together. */
const pauseMilliseconds = 1000
const prefixes = ['users/', 'roles/', 'locks/', 'hosts/']

/** What roles on other machines know of the cluster, in case they lose the auth service. */
export function clusterStateMethods(context: AuthContext): Pick<AuthApi, 'watchCluster'> {
  return {watchCluster: async ({signal}) => watch(context, signal)}
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

async function* watch(context: AuthContext, signal: AbortSignal): AsyncGenerator<ClusterState> {
  let changed = true
  let wake = (): void => undefined
  const change = (): void => {
    changed = true
    wake()
  }
  const stops = prefixes.map(prefix => context.backend.watch(prefix, change))
  signal.addEventListener('abort', change)
  try {
    for (let last = ''; !signal.aborted; ) {
      if (changed) {
        changed = false
        const state = await read(context)
        const text = toWire(state)
        if (text !== last) yield state
        last = text
        await pause(signal)
      } else {
        await new Promise<void>(resolve => {
          wake = resolve
        })
      }
    }
  } finally {
    for (const stop of stops) stop()
    signal.removeEventListener('abort', change)
  }
}

const pause = (signal: AbortSignal): Promise<void> =>
  new Promise(resolve => {
    const done = (): void => {
      clearTimeout(timer)
      signal.removeEventListener('abort', done)
      resolve()
    }
    const timer = setTimeout(done, pauseMilliseconds)
    signal.addEventListener('abort', done)
  })

/** The same decisions from what was known last. */
export function accessStateOf(state: ClusterState, now: () => number): AccessState {
  const users = new Map(state.users.map(user => [userKey(user.name), {value: user}]))
  const roles = new Map(state.roles.map(role => [role.metadata.name, role]))
  const hosts = new Map(state.hosts.map(host => [host.id, host]))
  const names = ({id, hostname, address = ''}: HostRecord): string[] => [
    ...[id, hostname],
    hostOfAddress(address),
  ]
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
        return state.hosts.filter(host => names(host).some(name => name !== '' && wanted.includes(name)))
      },
    },
    settings: {
      access: state.access,
      ...(state.routingStrategy && {routingStrategy: state.routingStrategy}),
    },
    now,
  }
}
