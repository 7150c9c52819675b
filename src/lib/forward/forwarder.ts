import type {Duplex} from 'node:stream'
import type {AuditInput} from '../audit/event.js'
import {asProblem, problem, problemLine, type SallyportError} from '../errors/index.js'
import {
  type Channel,
  type ChannelOpen,
  type GlobalAnswer,
  type GlobalRequest,
  openFailure,
} from '../ssh/index.js'
import {type Admitted, admit} from './admit.js'
import {forwardPort, joinOpened, rejectOpen} from './ports.js'
import {type ForwardedSession, forwardSession} from './session.js'
import {createSessionRecord} from './session-record.js'
import {createTargetLink, type TargetLink} from './target-link.js'
import type {ForwardSettings, Ingress, Target} from './types.js'

export interface Forwarder {
  /** Resolves when the connection is over and everything about it is on record. Never rejects. */
  done: Promise<void>
  /** Ends every session, telling its user why, and then the connection. */
  end(error: SallyportError): void
}

/**
 * The recording forwarder: ends the client's SSH connection on `stream`, begins another to the target, and records
 * what passes between. The client is authenticated anew by its certificate, for the login it asks for; the target is
 * reached with the client's own agent.
 */
export function forward(
  settings: ForwardSettings,
  ingress: Ingress,
  target: Target,
  stream: Duplex,
): Forwarder {
  let client: ForwardedClient | undefined
  let ending: SallyportError | undefined
  const run = async (): Promise<void> => {
    const admitted = await admit(settings, ingress, target, stream)
    client = serve(settings, ingress, target, admitted)
    if (ending) client.end(ending)
    await client.done
  }
  return {
    done: run().catch(error => {
      settings.log.info({error: problemLine(asProblem(error))}, 'forwarded connection ended')
    }),
    end(error) {
      ending = error
      if (client) client.end(error)
      else stream.destroy()
    },
  }
}

interface ForwardedClient {
  done: Promise<void>
  end(error: SallyportError): void
}

/** Serves the client's channels until its connection ends. */
function serve(
  settings: ForwardSettings,
  ingress: Ingress,
  target: Target,
  admitted: Admitted,
): ForwardedClient {
  const {connection: client, options} = admitted
  const consent: Consent = {agent: false, ports: false, x11: false}
  const work = trackWork()
  const sessions = new Map<ForwardedSession, Promise<void>>()
  let innerAgent = false
  let noMoreSessions = false
  const facts = factsOf(settings, ingress, target, admitted)
  const emit = (input: AuditInput): Promise<unknown> => settings.auth.emit({...facts, proto: 'ssh', ...input})

  const link = createTargetLink({
    ...{settings, target, emit},
    login: admitted.login,
    certificate: admitted.certificate,
    openAgent: async () => {
      if (ingress.outerAgent === 'offered') return ingress.openAgent()
      if (innerAgent) return client.openChannel('auth-agent@openssh.com')
      if (ingress.outerAgent === 'unknown') return ingress.openAgent()
      throw problem('agent_required', 'the client forwards no agent')
    },
    onConnected: ({connection}) => {
      connection.onChannelOpen = open => work.track(fromTarget(open, consent, client.openChannel))
      void connection.closed.then(() => client.disconnect())
      void client.closed.then(() => connection.disconnect())
    },
  })

  const openSession = async (open: ChannelOpen): Promise<void> => {
    if (noMoreSessions) return open.reject(openFailure.administrativelyProhibited, 'no more sessions')
    if (options.maxSessions > 0 && sessions.size >= options.maxSessions) {
      return rejectOpen(open, tooManySessions(options.maxSessions))
    }
    const openRemote = async (): Promise<Channel> => (await link.reach()).connection.openChannel('session')
    // Whose agent signs may only show on the session itself (`ssh -A -J`), so it has to be accepted first.
    if (ingress.outerAgent !== 'offered' && !link.asked) return startSession(open.accept(), openRemote)
    try {
      const remote = await openRemote()
      startSession(open.accept(), () => Promise.resolve(remote))
    } catch (error) {
      rejectOpen(open, error)
    }
  }
  const startSession = (local: Channel, openRemote: () => Promise<Channel>): void => {
    let session: ForwardedSession | undefined
    const done = new Promise<void>(resolve => {
      session = recordedSession({
        ...{settings, options, facts, emit, link, local, openRemote},
        onAgentRequested: () => {
          innerAgent = true
          consent.agent = options.agentForwarding
        },
        onX11: allowed => {
          consent.x11 = allowed
        },
        onDone: resolve,
      })
    })
    if (!session) return
    const begun = session
    sessions.set(begun, done)
    work.track(done.then(() => sessions.delete(begun)))
  }

  const answer = async ({type, data, wantReply}: GlobalRequest): Promise<GlobalAnswer> => {
    if (type === 'recording-proxy@teleport.com') return Buffer.from('true')
    if (type === 'no-more-sessions@openssh.com') {
      noMoreSessions = true
      return true
    }
    if (!portForwardRequests.has(type) || !options.portForwarding) return false
    consent.ports = true
    const {connection} = await link.reach()
    return (await connection.request(type, data, wantReply)) ?? false
  }

  client.onChannelOpen = open => {
    if (open.type === 'session') return work.track(openSession(open))
    if (open.type === 'direct-tcpip' || open.type === 'direct-streamlocal@openssh.com') {
      return work.track(forwardPort(open, {allowed: options.portForwarding, link, emit}))
    }
    open.reject(openFailure.unknownChannelType, `${open.type.slice(0, 64)} channels are not served here`)
  }
  client.onGlobalRequest = answer

  return {
    done: client.closed.then(() => work.idle()),
    end(error) {
      for (const session of sessions.keys()) session.end(error)
      void Promise.all(sessions.values()).then(() => client.disconnect())
    },
  }
}

/** What the client has asked for, and a target may therefore open a channel about. */
interface Consent {
  agent: boolean
  ports: boolean
  x11: boolean
}

const targetChannels: Readonly<Record<string, keyof Consent>> = {
  'auth-agent@openssh.com': 'agent',
  'forwarded-tcpip': 'ports',
  'forwarded-streamlocal@openssh.com': 'ports',
  x11: 'x11',
}

const portForwardRequests: ReadonlySet<string> = new Set([
  'tcpip-forward',
  'cancel-tcpip-forward',
  'streamlocal-forward@openssh.com',
  'cancel-streamlocal-forward@openssh.com',
])

async function fromTarget(
  open: ChannelOpen,
  consent: Consent,
  openChannel: (type: string, data: Buffer) => Promise<Channel>,
): Promise<void> {
  const needed = targetChannels[open.type]
  if (needed && consent[needed]) return joinOpened(open, () => openChannel(open.type, open.data))
  open.reject(openFailure.administrativelyProhibited, `${open.type.slice(0, 64)} was not asked for`)
}

type ConnectionFacts = ReturnType<typeof factsOf>

const factsOf = (settings: ForwardSettings, ingress: Ingress, target: Target, admitted: Admitted) => ({
  user: admitted.identity.user,
  login: admitted.login,
  server_hostname: target.host,
  server_addr: `${target.host}:${target.port}`,
  forwarded_by: settings.proxyId,
  'addr.remote': ingress.remoteAddress,
  'addr.local': ingress.localAddress,
})

interface RecordedSessionOptions {
  settings: ForwardSettings
  options: Admitted['options']
  facts: ConnectionFacts
  emit(input: AuditInput): Promise<unknown>
  link: TargetLink
  local: Channel
  openRemote(): Promise<Channel>
  onAgentRequested(): void
  onX11(allowed: boolean): void
  onDone(): void
}

/** One session with its recording and audit trail. */
function recordedSession(parameters: RecordedSessionOptions): ForwardedSession {
  const {settings, options, emit, link} = parameters
  const facts = {...parameters.facts, sid: settings.sessionId()}
  const warn = (message: string) => (error: unknown) =>
    settings.log.warn({sid: facts.sid, error: problemLine(asProblem(error))}, message)
  const record = createSessionRecord({
    auth: settings.auth,
    clusterName: settings.clusterName,
    facts,
    now: settings.now,
    mode: options.recordSession,
    onFailure: error => {
      warn('recording failed')(error)
      if (options.recordSession === 'strict') session.end(error)
    },
    onProblem: warn('audit event lost'),
  })
  const session: ForwardedSession = forwardSession({
    ...{local: parameters.local, options, record},
    onAgentRequested: parameters.onAgentRequested,
    onDone: parameters.onDone,
    onProblem: warn('session record incomplete'),
    async openRemote() {
      const channel = await parameters.openRemote()
      facts.server_addr = (await link.reach()).address
      return channel
    },
    async onSubsystem(name) {
      await emit({...facts, event: 'subsystem', fields: {name}})
    },
    async onX11(allowed) {
      parameters.onX11(allowed)
      await emit({...facts, event: 'x11', success: allowed})
    },
  })
  return session
}

const tooManySessions = (limit: number): SallyportError =>
  problem('limit_exceeded', `this connection has ${limit} sessions already, which is the limit`)

/** Work that has to be over before the connection counts as done. */
function trackWork(): {track(work: Promise<unknown>): void; idle(): Promise<void>} {
  const pending = new Set<Promise<unknown>>()
  return {
    track(work) {
      pending.add(work)
      const settled = (): void => void pending.delete(work)
      work.then(settled, settled)
    },
    async idle() {
      while (pending.size > 0) await Promise.allSettled(pending)
    },
  }
}
