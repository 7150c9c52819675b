import type {AuditInput} from '../audit/event.js'
import {asProblem, problem, problemLine, type SallyportError} from '../errors/index.js'
import {
  type AdmittedClient,
  type ClientSessions,
  createSessionRecord,
  type HostSession,
  hostedRecord,
  openHostSession,
  rejectOpen,
  type SessionFacts,
  tellSessionId,
  watchTransfer,
} from '../session/index.js'
import {type Channel, type ChannelOpen, openFailure} from '../ssh/index.js'
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
  const running = new Map<ForwardedSession, Promise<void>>()
  /** Running, or being opened: many may be asked for before the first is there. */
  let count = 0
  /** Of them those that have set out for the host. */
  let underWay = 0
  let noMore = false
  let ended: SallyportError | undefined

  const openRemote = async (sid: string, place: Place): Promise<HostSession> => {
    agents.settle()
    const {connection, terms} = await link.reach()
    // What another cluster demands of its hosts is known only now.
    if (terms && terms.maxSessions > 0 && underWay >= terms.maxSessions) {
      const error = tooManySessions(terms.maxSessions)
      await emit({event: 'session.rejected', success: false, error: error.message})
      throw error
    }
    underWay++
    place.taken = true
    return openHostSession(connection, sid)
  }
  const start = (local: Channel, sid: string, reach: () => Promise<HostSession>): Promise<void> => {
    let session: ForwardedSession | undefined
    const done = new Promise<void>(resolve => {
      session = recordedSession(parameters, {local, sid, reach, onDone: resolve})
    })
    if (session) running.set(session, done)
    if (ended) session?.end(ended)
    return done.finally(() => session && running.delete(session))
  }
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
  const refuse = async (open: ChannelOpen, error: SallyportError): Promise<void> => {
    await emit({event: 'session.rejected', success: false, error: error.message}).finally(() =>
      rejectOpen(open, error),
    )
  }

  return {
    async open(open) {
      if (noMore) return open.reject(openFailure.administrativelyProhibited, 'no more sessions')
      if (ended) return rejectOpen(open, ended)
      if (options.maxSessions > 0 && count >= options.maxSessions) {
        return refuse(open, tooManySessions(options.maxSessions))
      }
      count++
      const place = {taken: false}
      try {
        await begin(open, place)
      } finally {
        count--
        if (place.taken) underWay--
      }
    },
    allowNoMore() {
      noMore = true
    },
    end(error) {
      ended ??= error
      for (const session of running.keys()) session.end(error)
    },
    targetLost(error) {
      ended ??= error
      for (const session of running.keys()) session.targetLost(error)
    },
    idle: async () => void (await Promise.all(running.values())),
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
  const {settings, options, emit, link, agents} = parameters
  const facts = {...parameters.facts, sid}
  const warn = (message: string) => (error: unknown) =>
    settings.log.warn({sid: facts.sid, error: problemLine(asProblem(error))}, message)
  const party = settings.hub.host({
    facts,
    roles: parameters.ingress.identity.roles,
    oversight: options.oversight ?? [],
    controls: {
      input: data => session.input(data),
      tell: line => session.tell(line),
      end: error => session.end(error),
    },
  })
  const recorded = createSessionRecord({
    auth: settings.auth,
    clusterName: settings.clusterName,
    facts,
    now: settings.now,
    mode: options.recordSession,
    onFailure: error => {
      warn('recording failed')(error)
      session.recordingLost(error)
      if (options.recordSession === 'strict') return
      const failed = {event: 'session.recording.failed', success: false, error: error.message} as const
      emit({...facts, ...failed}).catch(warn('audit event lost'))
    },
    onProblem: warn('audit event lost'),
    endFields: party.endFields,
  })
  const record = hostedRecord(recorded, party)
  const session: ForwardedSession = forwardSession({
    ...{local, options, record, onDone},
    recordSession: options.recordSession,
    overseen: options.oversight !== undefined,
    holdsInput: () => party.paused,
    onActivity: parameters.onActivity,
    onProblem: warn('session record incomplete'),
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
    async onSubsystem(name) {
      await emit({...facts, event: 'subsystem', fields: {name}})
    },
    async onX11(allowed) {
      parameters.onX11(allowed)
      await emit({...facts, event: 'x11', success: allowed})
    },
    watchTransfer: (kind, command) =>
      watchTransfer({
        ...{kind, command, mode: options.recordSession, marker: record.marker},
        emit: input => emit({...facts, ...input}),
        onLost: error => session.end(error),
        onProblem: warn('audit event lost'),
      }),
  })
  return session
}

const tooManySessions = (limit: number): SallyportError =>
  problem('limit_exceeded', `this connection has ${limit} sessions already, which is the limit`)
