import type {AuditInput} from '../../audit/event.js'
import {problem, type SallyportError} from '../../errors/index.js'
import {type ChannelOpen, openFailure} from '../../ssh/index.js'
import type {ClientSessions} from '../door/served-client.js'
import {rejectOpen} from './port-requests.js'

export interface SessionSlotsOptions {
  /** What the client's roles say; 0 for no limit. */
  maxSessions: number
  /** Puts on record that one more was asked for than may be. */
  emit(input: AuditInput): Promise<unknown>
}

/** The sessions of one connection: how many there may be, and what they have in common at their end. */
export interface SessionSlots<Session> extends Omit<ClientSessions, 'open'> {
  /**
   * Refuses, or has one begin. From when it is asked for until `begin` has resolved it counts among those there are.
   * Resolves when it is over, or when its refusal is on record.
   */
  open(open: ChannelOpen, begin: () => Promise<void>): Promise<void>
  /** Starts one, which says itself when it is done; resolves then. */
  run(start: (onDone: () => void) => Session): Promise<void>
  /** As `end`, with another way of telling those that run. */
  endBy(error: SallyportError, tell: (session: Session) => void): void
}

export function createSessionSlots<Session extends {end(error: SallyportError): void}>({
  maxSessions,
  emit,
}: SessionSlotsOptions): SessionSlots<Session> {
  const running = new Map<Session, Promise<void>>()
  /** Running, or being opened: many may be asked for before the first is there. */
  let count = 0
  let noMore = false
  let ended: SallyportError | undefined

  const refuse = async (open: ChannelOpen, error: SallyportError): Promise<void> => {
    await emit(rejectedFor(error)).finally(() => rejectOpen(open, error))
  }
  const endBy = (error: SallyportError, tell: (session: Session) => void): void => {
    ended ??= error
    for (const session of running.keys()) tell(session)
  }
  return {
    async open(open, begin) {
      if (noMore) return open.reject(openFailure.administrativelyProhibited, 'no more sessions')
      if (ended) return rejectOpen(open, ended)
      if (isTooMany(count, maxSessions)) return await refuse(open, tooManySessions(maxSessions))
      count++
      try {
        await begin()
      } finally {
        count--
      }
    },
    async run(start) {
      let session: Session | undefined
      const done = new Promise<void>(resolve => {
        session = start(resolve)
      })
      if (session) running.set(session, done)
      if (ended) session?.end(ended)
      await done.finally(() => session && running.delete(session))
    },
    allowNoMore() {
      noMore = true
    },
    end: error => endBy(error, session => session.end(error)),
    endBy,
    idle: async () => void (await Promise.all(running.values())),
  }
}

/** Whether one more is too many where there are `count`. A limit of 0 is none. */
export const isTooMany = (count: number, limit: number): boolean => limit > 0 && count >= limit

export const tooManySessions = (limit: number): SallyportError =>
  problem('limit_exceeded', `this connection has ${limit} sessions already, which is the limit`)

/** What is on record of a session that was refused. */
export const rejectedFor = ({message}: SallyportError): AuditInput => ({
  ...{event: 'session.rejected', success: false, error: message},
})
