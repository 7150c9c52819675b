import {join} from 'node:path'
import {findLock, type Lock, lockReason} from '../access/index.js'
import {
  blindMilliseconds,
  type ClusterClient,
  type ClusterFollower,
  createClusterClient,
  followCluster,
  type JoinRole,
  type SystemApi,
  withoutAuth,
} from '../auth/index.js'
import {asProblem, isAway, problem, problemLine, type SallyportError} from '../errors/index.js'
import type {HostKeyStore} from '../ssh/index.js'
import type {RoleHealth} from './health.js'
import type {KeptIdentity} from './identity/kept-identity.js'
import {
  type KeptCluster,
  type KnownCluster,
  keepCluster,
  keepHostKeys,
  machineClock,
  type Owner,
} from './kept/index.js'
import {type RoleOutbox, withOutbox} from './parts/outbox-part.js'
import type {Part} from './parts/part.js'

/** One role of this machine and its way to the auth service. */
export interface RoleLink {
  client: ClusterClient
  follower: ClusterFollower
  api: SystemApi
  hostKeys: HostKeyStore
  /** Where the auth service is away since the start: the locks to begin with. */
  knownLocks?: readonly Lock[]
}

/** How often it is noted on disk how old the state is: by so much a clock that is set back can make it younger. */
const touchMilliseconds = 10 * 60_000

/**
 * Connects a role. While the auth service is away it begins with what this machine kept of the cluster.
 * @throws unavailable where there is nothing to begin with; access_denied for a machine that is locked; tls_untrusted
 */
export async function openRole(part: Part, identity: KeptIdentity, role: JoinRole): Promise<RoleLink> {
  const {config, hostId, logger, now, resources} = part
  const client = createClusterClient({
    servers: config.joining.authServers,
    credentials: () => identity.credentials(role),
    now,
  })
  resources.add(`connection to auth as ${role}`, client.close)
  const kept = keptFiles(part, identity, role)
  const {recording, known} = await firstWord(part, client.api, kept.cluster)
  const outbox = await withOutbox(part, role, client.api, recording)
  let keeping = Promise.resolve()
  const follower = await followCluster({
    api: outbox.api,
    ...(known && {known}),
    onState(state) {
      keeping = kept.cluster.keep(state)
      identity
        .believe(state.machineAuthorities)
        .catch(error => logger.error({err: error}, 'the authorities of the cluster are not kept'))
    },
    ...{log: logger, now},
  })
  resources.add(`state of the cluster as ${role}`, follower.close)
  // Whoever is ready can be started again.
  await keeping
  keepAge(part, role, kept.cluster, follower)
  part.health.add(() => healthOf(role, follower, outbox, recording.endsWith('-sync')))
  const begun = known && (await kept.hostKeys.load())
  return {
    ...{client, follower},
    api: withoutAuth(outbox.api, follower, {kind: 'system', role, hostId}),
    hostKeys: {keep: kept.hostKeys.keep, ...(begun && {begun})},
    ...(known && {knownLocks: known.state.locks}),
  }
}

function keptFiles({config, hostId, logger, now, resources}: Part, identity: KeptIdentity, role: JoinRole) {
  const {key, clusterName = ''} = identity.current()
  const owner = (kind: Owner['kind']): Owner => ({kind, role, clusterName, hostId, key})
  const path = (name: string): string => join(config.dataDir, `${role}.${name}`)
  const cluster = keepCluster({
    ...{owner: owner('cluster'), path: path('cluster'), log: logger},
    goodFor: blindMilliseconds,
    clock: () => machineClock(now),
  })
  const hostKeys = keepHostKeys({owner: owner('host-keys'), path: path('host-keys'), log: logger})
  resources.add(`host keys of the ${role}`, hostKeys.close)
  return {cluster, hostKeys}
}

/** What the auth service says of the cluster; while it is away, what it said last. */
async function firstWord(
  {hostId, logger, now}: Part,
  api: SystemApi,
  kept: KeptCluster,
): Promise<{recording: KnownCluster['state']['recording']; known?: KnownCluster}> {
  let away: SallyportError
  try {
    return await api.ping()
  } catch (error) {
    if (!isAway(error)) throw error
    away = asProblem(error)
  }
  const loaded = await kept.load()
  if (!loaded.ok) throw nothingKnown(away, loaded.reason)
  const {known} = loaded
  const {locks, recording} = known.state
  const inForce = locks.filter(({expires}) => expires === undefined || expires > now())
  const lock = findLock(inForce, {user: '', roles: [], logins: [], nodes: [hostId]})
  if (lock) throw problem('access_denied', lockReason(lock), {hint: 'ask an administrator'})
  logger.warn(
    {
      error: problemLine(away),
      known: new Date(known.fetched).toISOString(),
      known_seconds: Math.round(known.age / 1000),
      good_for_seconds: Math.round((blindMilliseconds - known.age) / 1000),
    },
    'the auth service is away: this starts from what it said of the cluster last',
  )
  return {recording, known}
}

const nothingKnown = (away: SallyportError, reason: string): SallyportError =>
  problem('unavailable', `${away.message}, and what was kept of the cluster does not do: ${reason}`, {
    hint: 'start this again when the auth service is back',
    cause: away,
  })

/** Notes how old the state is from time to time, and at the end. */
function keepAge({resources}: Part, role: JoinRole, kept: KeptCluster, follower: ClusterFollower): void {
  const timer = setInterval(() => void kept.touch(follower.age()), touchMilliseconds).unref()
  resources.add(`age of what is known as ${role}`, async () => {
    clearInterval(timer)
    await kept.touch(follower.age())
    await kept.close()
  })
}

function healthOf(
  role: JoinRole,
  follower: ClusterFollower,
  outbox: RoleOutbox,
  isSync: boolean,
): RoleHealth {
  const {events, recordings, bytes, oldest} = outbox.status()
  const stuck = stuckBecause(follower, isSync)
  return {
    role,
    auth: follower.isInTouch() ? 'in touch' : stuck?.code === 'access_denied' ? 'refused' : 'away',
    known_seconds: Math.round(follower.age() / 1000),
    ...(stuck && {reason: stuck.message}),
    outbox: {
      ...{events, recordings, bytes, cap_bytes: outbox.capBytes},
      ...(oldest !== undefined && {oldest: new Date(oldest).toISOString()}),
    },
  }
}

/** Why no new session begins. */
function stuckBecause(follower: ClusterFollower, isSync: boolean): SallyportError | undefined {
  if (follower.isInTouch()) return undefined
  if (isSync) return problem('unavailable', 'the cluster records in sync, and the auth service is away')
  try {
    follower.accessState()
    return undefined
  } catch (error) {
    return asProblem(error)
  }
}
