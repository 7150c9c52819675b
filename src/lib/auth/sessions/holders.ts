import {z} from 'zod'
import type {Backend} from '../../backend/index.js'
import {problem} from '../../errors/index.js'
import {DAY_MS} from '../../names/index.js'
import {createRecords} from '../records.js'

/** A machine that says nothing about a session for so long is taken to have lost it: the auth service may end it. */
const SILENT_MS = 7 * DAY_MS
/** As long as the certificate of a machine: after that nobody can come who was its holder. */
const REMEMBERED_MS = 90 * DAY_MS
/** What comes after the end of a session is taken for so long. */
const ENDED_MS = DAY_MS
/** Sessions whose holder is remembered; the others are looked up. */
const REMEMBERED = 10_000

const roles = ['node', 'proxy'] as const
export const holderSchema = z.object({
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
  /** @throws already_exists where the session is not this machine's, also where it is nobody's any more */
  requireOwn(sid: string, holder: Holder): Promise<void>
  /** Nobody has held it, as far as is remembered. */
  isFree(sid: string): Promise<boolean>
  /** The machine has told the end of it, and all of its recording. */
  ended(sid: string, holder: Holder): Promise<void>
  /**
   * Whether another machine may yet tell more of it. One that has said nothing for a week may not: the session is this
   * process's from then on, to be ended once.
   */
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
  const requireNoOther = async (sid: string, {hostId}: Pick<Holder, 'hostId'>) => {
    const holder = await find(sid)
    if (!holder || holder.hostId === hostId) return holder
    throw heldByAnother()
  }
  /** Puts down whose it is, unless that was done today. False where somebody else came first. */
  const put = async (sid: string, holder: StoredHolder | undefined, next: StoredHolder): Promise<boolean> => {
    const time = next.since
    if (holder?.hostId === next.hostId && time - holder.since < DAY_MS) return true
    if (holder) await records.put(sid, next, time + REMEMBERED_MS)
    else if (!(await records.create(sid, next, time + REMEMBERED_MS))) return false
    remember(sid, next)
    return true
  }
  return {
    async hold(sid, {hostId, role}) {
      const before = await find(sid)
      const givesWay = role === 'proxy' && before?.role === 'node'
      const holder = givesWay ? before : await requireNoOther(sid, {hostId})
      if (!(await put(sid, holder, {hostId, role, since: now()}))) await requireNoOther(sid, {hostId})
    },
    async holdHere(sid) {
      const holder = await find(sid)
      const isFree = holder === undefined || holder.hostId === ''
      if (isFree && (await put(sid, holder, {hostId: '', since: now()}))) return
      if ((await find(sid))?.hostId === '') return
      throw heldByAnother()
    },
    async requireOwn(sid, holder) {
      if (!(await requireNoOther(sid, holder))) throw heldByAnother()
    },
    isFree: async sid => (await find(sid)) === undefined,
    async ended(sid, {hostId, role}) {
      if (!(await requireNoOther(sid, {hostId}))) return
      const over = {hostId, role, since: now()}
      await records.put(sid, over, over.since + ENDED_MS)
    },
    async isHeld(sid) {
      const stored = await records.get(sid)
      if (!stored || stored.value.hostId === '') return false
      const time = now()
      if (time - stored.value.since < SILENT_MS) return true
      const own = {hostId: '', since: time}
      // Where the machine speaks again in this moment, it is still there.
      return !(await records.replace(sid, stored.revision, own, time + REMEMBERED_MS))
    },
  }
}

const heldByAnother = () => problem('already_exists', 'the session is held by another machine')
