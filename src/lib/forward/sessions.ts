import type {AuditInput} from '../audit/event.js'
import type {SallyportError} from '../errors/index.js'
import {
  type AdmittedClient,
  type ClientSessions,
  createSessionSlots,
  type HostSession,
  isTooMany,
  keepRecord,
  openHostSession,
  rejectedFor,
  rejectOpen,
  type SessionFacts,
  sessionWarner,
  tellSessionId,
  tooManySessions,
} from '../session/index.js'
import type {Channel, ChannelOpen} from '../ssh/index.js'
import type {AgentSource} from './agent-source.js'
import {type ForwardedSession, forwardSession} from './session.js'
import type {TargetLink} from './target-link.js'
import type {ForwardSettings, Ingress} from './types.js'

export interface SessionsOptions {
  settings: ForwardSettings
  ingress: Ingress
  options: AdmittedClient['options']
  /** What all sessions of the connection have in common. */
  facts: Omit<SessionFacts, 'sid'>
  emit(input: AuditInput): Promise<unknown>
  link: TargetLink
  agents: AgentSource
  onActivity(): void
  /** The client asked for its agent to be forwarded. */
  onAgentRequested(): void
  onX11(allowed: boolean): void
}

/** The sessions of one connection. */
export interface Sessions extends ClientSessions {
  /** Accepts or refuses; resolves when the session that was opened is over and on record. */
  open(open: ChannelOpen): Promise<void>
  targetLost(error: SallyportError): void
}

export function createSessions(parameters: SessionsOptions): Sessions {
  const {ingress, options, link, agents, emit} = parameters
  const slots = createSessionSlots<ForwardedSession>({maxSessions: options.maxSessions, emit})
  /** Those that have set out for the host. */
  let underWay = 0

  const openRemote = async (sid: string, place: Place): Promise<HostSession> => {
    agents.settle()
    const {connection, terms} = await link.reach()
    // What another cluster demands of its hosts is known only now.
    if (terms && isTooMany(underWay, terms.maxSessions)) {
      const error = tooManySessions(terms.maxSessions)
      await emit(rejectedFor(error))
      throw error
    }
    underWay++
    place.taken = true
    return openHostSession(connection, sid)
  }
  const start = (local: Channel, sid: string, reach: () => Promise<HostSession>): Promise<void> =>
    slots.run(onDone => recordedSession(parameters, {local, sid, reach, onDone}))
  const begin = async (open: ChannelOpen, place: Place): Promise<void> => {
    const own = parameters.settings.sessionId()
    // Whose agent signs may only show on the session itself (`ssh -A -J`), so it has to be accepted first: the client
    // is told the ID as soon as its first request has led to the host.
    if (ingress.outerAgent !== 'offered' && !link.asked) {
      const local = open.accept()
      return start(local, own, async () => {
        const remote = await openRemote(own, place)
        tellSessionId(local, remote.sid)
        return remote
      })
    }
    let remote: HostSession
    try {
      remote = await openRemote(own, place)
    } catch (error) {
      return rejectOpen(open, error)
    }
    let local: Channel
    try {
      local = open.accept()
    } catch (error) {
      // The client has gone in the meantime.
      remote.channel.close()
      throw error
    }
    tellSessionId(local, remote.sid)
    await start(local, remote.sid, () => Promise.resolve(remote))
  }

  return {
    ...slots,
    open: open =>
      slots.open(open, async () => {
        const place = {taken: false}
        try {
          await begin(open, place)
        } finally {
          if (place.taken) underWay--
        }
      }),
    targetLost: error => slots.endBy(error, session => session.targetLost(error)),
  }
}

/** Of a session among those at the host. */
interface Place {
  taken: boolean
}

interface Opened {
  local: Channel
  /** Until the host says otherwise. */
  sid: string
  /** To the session at the host. */
  reach(): Promise<HostSession>
  onDone(): void
}

/** One session with its recording and audit trail. */
function recordedSession(parameters: SessionsOptions, {local, sid, reach, onDone}: Opened): ForwardedSession {
  const {settings, ingress, options, link, agents} = parameters
  const facts = {...parameters.facts, sid}
  const {roles} = ingress.identity
  const kept = keepRecord(settings, {facts, roles, options, session: () => session})
  const session: ForwardedSession = forwardSession({
    ...{...kept, local, options, onDone},
    recordSession: options.recordSession,
    onActivity: parameters.onActivity,
    onProblem: sessionWarner(settings.log, facts)('session record incomplete'),
    onAgentRequested() {
      agents.offer()
      parameters.onAgentRequested()
    },
    async openRemote() {
      const remote = await reach()
      facts.sid = remote.sid
      facts.server_addr = (await link.reach()).address
      return remote.channel
    },
    onSubsystem: name => kept.emit({event: 'subsystem', fields: {name}}),
    async onX11(success) {
      parameters.onX11(success)
      await kept.emit({event: 'x11', success})
    },
  })
  return session
}
