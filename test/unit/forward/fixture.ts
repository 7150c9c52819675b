import {mergeOptions} from '../../../src/lib/access/options.js'
import type {SessionOptions} from '../../../src/lib/access/types.js'
import type {AuditInput} from '../../../src/lib/audit/event.js'
import type {SessionTracker} from '../../../src/lib/auth/contract.js'
import {problem} from '../../../src/lib/errors/index.js'
import type {ForwardAuth, ForwardSettings} from '../../../src/lib/forward/index.js'
import {createSessionRecord, type SessionRecordOptions} from '../../../src/lib/session/record.js'
import {createParty, type Party, type PartyAuth} from '../../../src/lib/session/sharing/party.js'
import type {ConnectionGuard, GuardedConnection} from '../../../src/lib/session/watch/guard.js'
import {hostAuthority, userAuthority} from '../ssh/fixture.js'

export interface FakeAuth extends ForwardAuth, PartyAuth {
  /** What the cluster knows of sessions that run. */
  trackers: Map<string, SessionTracker>
  events: AuditInput[]
  chunks: number
  sealed: string[]
  /** Names of events that cannot be written. */
  losing: Set<string>
  /** The recording store takes nothing any more. */
  storeBroken: boolean
  /** Held back while set. */
  gate: Promise<void> | undefined
  named(event: string): AuditInput[]
}

/** An auth service that keeps what it is told in memory, and fails where it is asked to. */
export function fakeAuth(): FakeAuth {
  const broken = () => problem('store_failed', 'the disk is full')
  const auth: FakeAuth = {
    events: [],
    trackers: new Map(),
    chunks: 0,
    sealed: [],
    losing: new Set(),
    storeBroken: false,
    gate: undefined,
    named: event => auth.events.filter(input => input.event === event),
    async trustedAuthorities() {
      return {user: [userAuthority.publicBlob], host: [hostAuthority.publicBlob], openssh: []}
    },
    async decide() {
      return {allowed: true, reason: 'everybody may', options: everything}
    },
    checkSessionMfa: async () => undefined,
    async emit(input) {
      await auth.gate
      if (auth.losing.has(input.event)) throw problem('store_failed', `${input.event} cannot be written`)
      auth.events.push(input)
    },
    async upsertTracker(tracker) {
      await auth.gate
      auth.trackers.set(tracker.sid, tracker)
    },
    async removeTracker(sid) {
      auth.trackers.delete(sid)
    },
    async beginRecording() {
      await auth.gate
      if (auth.storeBroken) throw broken()
    },
    async appendRecording() {
      await auth.gate
      if (auth.storeBroken) throw broken()
      auth.chunks++
    },
    async sealRecording(sid) {
      if (auth.storeBroken) throw broken()
      auth.sealed.push(sid)
    },
  }
  return auth
}

/** What somebody may whose roles say nothing, and who may forward an agent. */
export const everything: SessionOptions = {
  ...mergeOptions([], {clientIdleTimeoutSeconds: 0, disconnectExpiredCert: false}),
  agentForwarding: true,
}

/** Lets everybody in, and shows who is there. */
export const openGuard = (): ConnectionGuard & {inside: Set<GuardedConnection>} => {
  const inside = new Set<GuardedConnection>()
  return {
    inside,
    enter(connection) {
      inside.add(connection)
      return {reached: () => undefined, leave: () => void inside.delete(connection)}
    },
  }
}

/** Sessions that can be joined, by their IDs. */
export function openHub(
  auth: FakeAuth,
): ForwardSettings['hub'] & {parties: Map<string, Party>; find(sid: string): Party | undefined} {
  const parties = new Map<string, Party>()
  let guests = 0
  return {
    parties,
    find: sid => parties.get(sid),
    host: session =>
      createParty({
        ...{
          ...session,
          auth,
          heldBy: 'proxy-1',
          holder: 'p1',
          now: Date.now,
          monotonic: () => performance.now(),
        },
        mayDraw: () => true,
        guestId: () => `guest-${++guests}`,
        onProblem(error) {
          throw error
        },
        onOpen: party => void parties.set(session.facts.sid, party),
        onClosed: () => void parties.delete(session.facts.sid),
      }),
  }
}

export const facts = {
  user: 'joe',
  login: 'root',
  sid: '11111111-2222-4333-8444-555555555555',
  server_hostname: 'target.test',
  server_addr: '192.0.2.1:22',
  forwarded_by: 'proxy-1',
}

export function record(auth: FakeAuth, options: Partial<SessionRecordOptions> = {}) {
  const problems: unknown[] = []
  const failures: unknown[] = []
  const made = createSessionRecord({
    ...{auth, facts, clusterName: 'test', now: Date.now, mode: 'best_effort'},
    onFailure: error => failures.push(error),
    onProblem: error => problems.push(error),
    ...options,
  })
  return {record: made, problems, failures}
}
