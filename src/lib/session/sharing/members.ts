import type {JoinMode} from '../../access/index.js'
import type {AuditInput} from '../../audit/event.js'
import type {AuthApi} from '../../auth/contract.js'
import {problem} from '../../errors/index.js'
import type {SessionFacts} from '../record.js'
import type {Seat} from './audience.js'

/** Somebody who joins. */
export interface Joiner {
  user: string
  /** In force. */
  roles: readonly string[]
  mode: JoinMode
  /** `ip:port`; absent for the administrator of this very machine. */
  address?: string
  seat: Seat
}

/** Somebody who has joined, or is about to. */
export interface Member {
  readonly id: string
  readonly joiner: Joiner
  /** Unix ms. */
  readonly joined: number
  lastActive: number
  /** Bytes. */
  typed: number
  /** Their coming is on record. */
  here: boolean
  gone: Promise<void> | undefined
}

export interface MembersOptions {
  facts: SessionFacts
  /** Where the session is recorded; default: proxy. */
  place?: 'proxy' | 'node' | 'off'
  auth: Pick<AuthApi, 'emit'>
  /** Unix ms. */
  now: () => number
  guestId: () => string
}

/** Who has joined a session; their coming and going is put on record. */
export interface Members {
  /** Those whose coming is on record. */
  here(): Member[]
  /** And those on their way. */
  all(): Member[]
  /** All users who were ever here. */
  everybody(): string[]
  /** Resolves when it is on record. @throws limit_exceeded, and what the audit log says */
  enter(joiner: Joiner): Promise<Member>
  /** Counts them no more. */
  remove(member: Member): void
  /** Resolves when their leaving is on record. */
  recordLeave(member: Member): Promise<unknown>
  /** Resolves when nobody is on their way. */
  settled(): Promise<void>
}

/** More than can mean anything to whose session it is. */
const mostGuests = 32

export function createMembers({facts, place = 'proxy', auth, now, guestId}: MembersOptions): Members {
  const members = new Set<Member>()
  const everybody = new Set<string>()
  const arriving = new Set<Promise<unknown>>()

  const emit = (
    event: AuditInput['event'],
    {id, joiner: {user, mode, address}}: Member,
    more: Record<string, unknown> = {},
  ): Promise<unknown> =>
    auth.emit({
      ...{...facts, event, user, proto: address === undefined ? 'unix' : 'ssh'},
      ...(address !== undefined && {'addr.remote': address}),
      fields: {participant_id: id, mode, owner: facts.user, session_recording: place, ...more},
    })

  return {
    here: () => [...members].filter(member => member.here),
    all: () => [...members],
    everybody: () => [...everybody],
    async enter(joiner) {
      if (members.size >= mostGuests)
        throw problem('limit_exceeded', `${mostGuests} people have joined this session already`)
      const time = now()
      const member: Member = {
        ...{id: guestId(), joiner, joined: time, lastActive: time, typed: 0},
        ...{here: false, gone: undefined},
      }
      members.add(member)
      const recorded = emit('session.join', member)
      arriving.add(recorded)
      try {
        await recorded
      } catch (error) {
        members.delete(member)
        throw error
      } finally {
        arriving.delete(recorded)
      }
      member.here = true
      everybody.add(joiner.user)
      return member
    },
    remove: member => void members.delete(member),
    recordLeave: member => emit('session.leave', member, {typed: member.typed}),
    settled: async () => void (await Promise.allSettled(arriving)),
  }
}
