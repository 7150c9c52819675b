import {z} from 'zod'
import type {Backend} from '../backend/index.js'
import {problem} from '../errors/index.js'
import {createRecords} from './records.js'

const day = 86_400_000
/** A machine that says nothing about a session for so long is taken to have lost it. */
const HELD_MS = 7 * day
/** What comes after the end of a session, such as that of its recording, is taken for so long. */
const ENDED_MS = 3_600_000
/** Sessions whose holder is remembered; the others are looked up. */
const REMEMBERED = 10_000

const roles = ['node', 'proxy'] as const
const holderSchema = z.object({
  /** Empty: this process, or one before it on the same data. */
  hostId: z.string(),
  role: z.enum(roles).optional(),
  since: z.number(),
})
type StoredHolder = z.output<typeof holderSchema>

/** A machine, and as what it tells of a session. */
export interface Holder {
  hostId: string
  role: (typeof roles)[number]
}

/**
 * Which machine holds a session: it alone tells of it, and nobody else ends it. A node chooses the ID of a session that a
 * proxy in front of it records, and could be first to claim it: the proxy has precedence.
 */
export interface SessionHolders {
  /** The session is this machine's from now on, or still. @throws already_exists where it stays another one's */
  hold(sid: string, holder: Holder): Promise<void>
  /** The session is one of this process, which no other machine may tell of. @throws already_exists where one does */
  holdHere(sid: string): Promise<void>
  /** @throws already_exists where the session is another machine's */
  requireOwn(sid: string, holder: Holder): Promise<void>
  ended(sid: string, holder: Holder): Promise<void>
  /** Whether another machine may yet tell more of it. */
  isHeld(sid: string): Promise<boolean>
}

export function createSessionHolders(backend: Backend, now: () => number): SessionHolders {
  const records = createRecords(backend, 'session-holders', holderSchema)
  const known = new Map<string, StoredHolder>()
  const remember = (sid: string, holder: StoredHolder): void => {
    known.delete(sid)
    known.set(sid, holder)
    const {value: oldest} = known.keys().next()
    if (known.size > REMEMBERED && oldest !== undefined) known.delete(oldest)
  }
  const find = async (sid: string): Promise<StoredHolder | undefined> => {
    const remembered = known.get(sid)
    if (remembered) return remembered
    const stored = (await records.get(sid))?.value
    if (stored) remember(sid, stored)
    return stored
  }
  const requireOwn = async (sid: string, {hostId}: Pick<Holder, 'hostId'>) => {
    const holder = await find(sid)
    if (!holder || holder.hostId === hostId) return holder
    throw problem('already_exists', 'the session is held by another machine')
  }
  /** Puts down whose it is, unless that was done today. False where somebody else came first. */
  const put = async (sid: string, holder: StoredHolder | undefined, next: StoredHolder): Promise<boolean> => {
    const time = next.since
    if (holder?.hostId === next.hostId && time - holder.since < day) return true
    if (holder) await records.put(sid, next, time + HELD_MS)
    else if (!(await records.create(sid, next, time + HELD_MS))) return false
    remember(sid, next)
    return true
  }
  return {
    async hold(sid, {hostId, role}) {
      const before = await find(sid)
      const givesWay = role === 'proxy' && before?.role === 'node'
      const holder = givesWay ? before : await requireOwn(sid, {hostId})
      if (!(await put(sid, holder, {hostId, role, since: now()}))) await requireOwn(sid, {hostId})
    },
    async holdHere(sid) {
      const holder = await find(sid)
      const isFree = holder === undefined || holder.hostId === ''
      if (isFree && (await put(sid, holder, {hostId: '', since: now()}))) return
      if ((await find(sid))?.hostId === '') return
      throw problem('already_exists', 'the session is held by another machine')
    },
    async requireOwn(sid, holder) {
      await requireOwn(sid, holder)
    },
    async ended(sid, {hostId, role}) {
      if (!(await requireOwn(sid, {hostId}))) return
      const over = {hostId, role, since: now()}
      await records.put(sid, over, over.since + ENDED_MS)
    },
    async isHeld(sid) {
      const holder = (await records.get(sid))?.value
      return holder !== undefined && holder.hostId !== ''
    },
  }
}
