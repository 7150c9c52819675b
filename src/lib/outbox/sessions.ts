import type {Retries} from '../durable/index.js'
import type {SallyportError} from '../errors/index.js'
import {createTurn, type Turn} from '../waiting/index.js'
import {type Lane, type LaneOptions, openLane} from './lane.js'
import type {Damage, Step} from './types.js'
import {createWaiters, type Waiters} from './waiters.js'

/** One session, or what belongs to none. */
export interface Session {
  id: string
  lane: Lane
  /** Of this process, and not over yet. */
  isRunning: boolean
  /** Some of it was damaged. */
  isDamaged: boolean
  /** Why its recording takes no more. */
  failed?: SallyportError
  /** How often in a row the disk did not give what it has of it. */
  unreadable: number
  /** Auth does not take the recording, so that the rest of it need not be told. */
  isRefused: boolean
  waiters: Waiters
  /** Gives it what it lacks: one caller at a time, or two would give it the same. */
  concluding: Turn
}

export interface SessionsOptions extends Pick<LaneOptions, 'directory' | 'budget' | 'now'> {
  /** Files of each lane that an earlier process left. */
  left: ReadonlyMap<string, readonly number[]>
  retries: Retries
  onDamage(session: Session, damage: readonly Damage[]): void
  /** The session has something to tell. */
  onKept(id: string): void
}

/** The sessions of which something may have to be told, each with its lane. */
export interface Sessions {
  /** Begins one that is not known yet. */
  of(id: string): Session
  find(id: string): Session | undefined
  all(): Session[]
  /** Those that an earlier process left and nobody has read: what is in them is not known. */
  readonly unread: Set<string>
  /** Resolves with the steps kept when this one is durable. */
  keep(session: Session, step: Step): Promise<number>
  /** The same as soon as the disk lets it. */
  keepSoon(session: Session, step: Step): void
  /** Forgets one that is over and of which nothing is on disk. */
  forget(session: Session): void
}

export function createSessions(options: SessionsOptions): Sessions {
  const {directory, budget, now, left, retries, onDamage, onKept} = options
  const sessions = new Map<string, Session>()
  const untouched = new Map(left)

  const begin = (id: string): Session => {
    const lane = openLane({
      ...{directory, id, budget, now},
      segments: untouched.get(id) ?? [],
      onDamage: damage => onDamage(session, damage),
    })
    untouched.delete(id)
    const session: Session = {
      ...{id, lane, isRunning: false, isDamaged: false, isRefused: false, unreadable: 0},
      ...{waiters: createWaiters(), concluding: createTurn()},
    }
    sessions.set(id, session)
    return session
  }

  const keep = async (session: Session, step: Step): Promise<number> => {
    const steps = await session.lane.append(step)
    onKept(session.id)
    return steps
  }

  return {
    of: id => sessions.get(id) ?? begin(id),
    find: id => sessions.get(id),
    all: () => [...sessions.values()],
    unread: new Set(left.keys()),
    keep,
    keepSoon: (session, step) => void retries.add(async () => void (await keep(session, step))),
    forget({id, lane, isRunning}) {
      if (lane.isGone && !isRunning) sessions.delete(id)
    },
  }
}
