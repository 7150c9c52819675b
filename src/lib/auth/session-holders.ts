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

const holderSchema = z.object({hostId: z.string(), since: z.number()})
type Holder = z.output<typeof holderSchema>

/** Which machine holds a session, where that is another one: it alone tells of it, and nobody else ends it. */
export interface SessionHolders {
  /** The session is this machine's from now on, or still. @throws already_exists where it is another one's */
  hold(sid: string, hostId: string): Promise<void>
  /** @throws already_exists where the session is another machine's */
  requireOwn(sid: string, hostId: string): Promise<void>
  ended(sid: string, hostId: string): Promise<void>
  /** Whether a machine may yet tell more of it. */
  isHeld(sid: string): Promise<boolean>
}

export function createSessionHolders(backend: Backend, now: () => number): SessionHolders {
  const records = createRecords(backend, 'session-holders', holderSchema)
  const known = new Map<string, Holder>()
  const remember = (sid: string, holder: Holder): void => {
    known.delete(sid)
    known.set(sid, holder)
    const {value: oldest} = known.keys().next()
    if (known.size > REMEMBERED && oldest !== undefined) known.delete(oldest)
  }
  const find = async (sid: string): Promise<Holder | undefined> => {
    const remembered = known.get(sid)
    if (remembered) return remembered
    const stored = (await records.get(sid))?.value
    if (stored) remember(sid, stored)
    return stored
  }
  const requireOwn = async (sid: string, hostId: string): Promise<Holder | undefined> => {
    const holder = await find(sid)
    if (holder && holder.hostId !== hostId)
      throw problem('already_exists', 'the session is held by another machine')
    return holder
  }
  return {
    async hold(sid, hostId) {
      const holder = await requireOwn(sid, hostId)
      const time = now()
      if (holder && time - holder.since < day) return
      const next = {hostId, since: time}
      if (holder) await records.put(sid, next, time + HELD_MS)
      else if (!(await records.create(sid, next, time + HELD_MS))) await requireOwn(sid, hostId)
      remember(sid, next)
    },
    async requireOwn(sid, hostId) {
      await requireOwn(sid, hostId)
    },
    async ended(sid, hostId) {
      if (await requireOwn(sid, hostId)) await records.put(sid, {hostId, since: now()}, now() + ENDED_MS)
    },
    isHeld: async sid => (await records.get(sid)) !== undefined,
  }
}
