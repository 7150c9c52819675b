import {z} from 'zod'
import {type ClusterState, fromWire, readClusterState, toWire} from '../../auth/index.js'
import {HOUR_MS} from '../../names/index.js'
import {ageOf, type MachineClock, type Stamp} from './age.js'
import {createKeeper, type Keeper, type KeeperOptions} from './keeper.js'
import {readKept} from './read.js'
import {type Owner, seal} from './seal.js'

/** What a role begins with while the auth service is away. */
export interface KnownCluster {
  state: ClusterState
  /** Unix ms at which the auth service said so last, by the clock of then. */
  fetched: number
  /** Ms since then, whatever was done to the clock. */
  age: number
}

/** Keeps what a role knows of its cluster, for a start without the auth service. */
export interface KeptCluster {
  /** Resolves when it is on disk; that it cannot be is logged. */
  keep(state: ClusterState): Promise<void>
  /** The state that was kept last is `age` ms old now: 0 while the auth service says at once what changes. */
  touch(age: number): Promise<void>
  /** What was kept, or why nobody can go by it. */
  load(): Promise<{ok: true; known: KnownCluster} | {ok: false; reason: string}>
  close(): Promise<void>
}

export interface KeptClusterOptions extends KeeperOptions {
  owner: Owner
  /** Ms for which a state is good. */
  goodFor: number
  clock: () => MachineClock
}

/** A file on its way is as large as the line that the state came in. */
const maxBytes = 65 * 1024 * 1024

export function keepCluster(options: KeptClusterOptions): KeptCluster {
  const {owner, clock, goodFor, path} = options
  const keeper: Keeper = createKeeper(options)
  /** The last state, and when it was so. */
  let last: ClusterState | undefined
  let fetched = 0

  const write = (age: number, isNew: boolean): Promise<void> => {
    if (!last) return Promise.resolve()
    const state = last
    const time = clock()
    if (age === 0) fetched = time.wall
    const stamp: Stamp = {fetched, age: Math.ceil(age), ...time}
    // Whoever starts by an older state could pass over a lock in this one.
    return keeper.keep(() => seal(owner, toWire({stamp, state})), isNew)
  }
  return {
    keep(state) {
      last = state
      return write(0, true)
    },
    touch: age => write(age, false),
    async load() {
      const read = await readKept(path, owner, maxBytes)
      if (!read.ok) return read
      const parsed = parse(read.payload)
      if (!parsed) return {ok: false, reason: 'this version of sallyport does not understand it'}
      const {stamp, state} = parsed
      const age = ageOf(stamp, clock())
      if (age === undefined)
        return {ok: false, reason: 'the clock of this machine is behind the time at which it was kept'}
      if (age >= goodFor) return {ok: false, reason: `it is ${inHours(age)} old`}
      last = state
      fetched = stamp.fetched
      return {ok: true, known: {state, fetched, age}}
    },
    close: keeper.close,
  }
}

const inHours = (milliseconds: number): string => {
  const hours = Math.floor(milliseconds / HOUR_MS)
  return hours < 48 ? `${hours} hours` : `${Math.floor(hours / 24)} days`
}

const time = z.number().int()
const payloadSchema = z.strictObject({
  stamp: z.strictObject({
    ...{fetched: time, age: time.nonnegative(), wall: time},
    boot: z.strictObject({id: z.string(), uptime: time}).optional(),
  }),
  state: z.unknown(),
})

/** Undefined for what another version may have written. */
function parse(payload: string): {stamp: Stamp; state: ClusterState} | undefined {
  try {
    const {stamp, state} = payloadSchema.parse(fromWire(payload))
    return {stamp: stamp as Stamp, state: readClusterState(state)}
  } catch {
    // Nothing is wrong with the file, and there is one thing to say of it: the caller does.
    return undefined
  }
}
