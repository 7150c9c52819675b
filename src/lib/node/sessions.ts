import type {AuditInput} from '../audit/event.js'
import {asProblem, problem, problemLine, type SallyportError} from '../errors/index.js'
import {
  createSessionRecord,
  rejectOpen,
  type SessionFacts,
  type SessionRecord,
  type TerminalSize,
  tellSessionId,
  watchTransfer,
} from '../session/index.js'
import {type Channel, type ChannelOpen, openFailure} from '../ssh/index.js'
import type {NodeProcess} from './process/index.js'
import type {RecordingPlace} from './recording-place.js'
import {type Launch, type NodeSession, serveSession} from './session.js'
import type {Admitted, NodeSettings, Peer} from './types.js'

export interface SessionsOptions {
  settings: NodeSettings
  admitted: Admitted
  peer: Peer
  /** What all sessions of the connection have in common. */
  facts: Omit<SessionFacts, 'sid'>
  /** Who keeps the record of a session that is opened now. */
  place(): RecordingPlace
  onActivity(): void
  onResize(size: TerminalSize): void
  track(work: Promise<unknown>): void
}

/** The sessions of one connection. */
export interface NodeSessions {
  open(open: ChannelOpen): void
  /** The client promises to open no more; held to it. */
  allowNoMore(): void
  end(error: SallyportError): void
  /** Resolves when those that run now are over. */
  idle(): Promise<void>
}

export function createNodeSessions(parameters: SessionsOptions): NodeSessions {
  const {settings, admitted, facts, track} = parameters
  const {maxSessions} = admitted.options
  const running = new Map<NodeSession, Promise<void>>()
  let noMore = false
  let ended: SallyportError | undefined

  const start = (open: ChannelOpen): void => {
    let session: NodeSession | undefined
    const done = new Promise<void>(resolve => {
      session = openSession(parameters, open, resolve)
    })
    if (session) running.set(session, done)
    track(done.finally(() => session && running.delete(session)))
  }
  const refuse = async (open: ChannelOpen, error: SallyportError): Promise<void> => {
    const rejected = {event: 'session.rejected', success: false, error: error.message} as const
    await settings.auth.emit({...facts, proto: 'ssh', ...rejected}).finally(() => rejectOpen(open, error))
  }
  return {
    open(open) {
      if (noMore) return open.reject(openFailure.administrativelyProhibited, 'no more sessions')
      if (ended) return rejectOpen(open, ended)
      if (maxSessions > 0 && running.size >= maxSessions) return track(refuse(open, tooMany(maxSessions)))
      start(open)
    },
    allowNoMore() {
      noMore = true
    },
    end(error) {
      ended ??= error
      for (const session of running.keys()) session.end(error)
    },
    idle: async () => void (await Promise.all(running.values())),
  }
}

/** One session, with its ID set and told before anything else is said on its channel. */
function openSession(parameters: SessionsOptions, open: ChannelOpen, onDone: () => void): NodeSession {
  const {settings, admitted} = parameters
  const {options, certificate} = admitted
  const place = parameters.place()
  const facts = {...parameters.facts, sid: settings.sessionId()}
  const channel = open.accept()
  tellSessionId(channel, facts.sid)
  const warn = (message: string) => (error: unknown) =>
    settings.log.warn({sid: facts.sid, error: problemLine(asProblem(error))}, message)
  const emit = async (input: AuditInput): Promise<void> => {
    // Where the forwarder keeps the record, each event is written once, by it.
    if (place !== 'forwarder') await settings.auth.emit({...facts, proto: 'ssh', ...input})
  }
  const record =
    place === 'forwarder'
      ? recordedElsewhere
      : createSessionRecord({
          auth: settings.auth,
          clusterName: settings.clusterName,
          ...{facts, place},
          now: settings.now,
          mode: options.recordSession,
          onFailure: error => {
            warn('recording failed')(error)
            session.recordingLost(error)
            if (options.recordSession === 'strict') return
            const failed = {event: 'session.recording.failed', success: false, error: error.message} as const
            emit(failed).catch(warn('audit event lost'))
          },
          onProblem: warn('audit event lost'),
        })
  const forced = certificate.criticalOptions.get('force-command')
  const session = serveSession({
    ...{channel, options, record, onDone},
    ...(forced !== undefined && {forcedCommand: forced}),
    launch: wish => launch(parameters, facts.sid, wish),
    onSubsystem: name => emit({event: 'subsystem', fields: {name}}),
    onX11: success => emit({event: 'x11', success}),
    // The forwarder sees the same bytes, and tells of them.
    watchTransfer: (kind, command) =>
      place === 'forwarder'
        ? undefined
        : watchTransfer({
            ...{kind, command, emit, mode: options.recordSession, marker: record.marker},
            onLost: error => session.end(error),
            onProblem: warn('audit event lost'),
          }),
    onResize: parameters.onResize,
    onActivity: parameters.onActivity,
    onProblem: warn('session record incomplete'),
  })
  return session
}

/** The forwarder in front of us has begun the record before it asked us to start anything. */
const recordedElsewhere: SessionRecord = {
  begin: async () => undefined,
  output: () => undefined,
  marker: () => undefined,
  resize: () => undefined,
  finish: async () => undefined,
}

/** The program that was asked for, as the login user, with the client's agent at hand where that was asked for too. */
async function launch(parameters: SessionsOptions, sid: string, wish: Launch): Promise<NodeProcess> {
  const {settings, admitted, peer} = parameters
  const {system} = settings
  const {program, terminal, wished, originalCommand} = wish
  const account = await system.account(admitted.login)
  const connect = (): Promise<Channel> => admitted.connection.openChannel('auth-agent@openssh.com')
  // A full disk keeps nobody out.
  const withoutAgent = (error: unknown): undefined => {
    settings.log.warn({sid, error: problemLine(asProblem(error))}, 'a session goes without its agent')
  }
  const agent = wish.agent ? await system.openAgent(account, connect).catch(withoutAgent) : undefined
  const closeAgent = (): void => {
    agent?.close().catch(error => {
      settings.log.warn({sid, error: problemLine(asProblem(error))}, "an agent's socket is left")
    })
  }
  try {
    const environment = await system.environment({
      ...{account, wished, sid, user: admitted.identity.user},
      ...{remoteAddress: peer.remoteAddress, localAddress: peer.localAddress},
      ...(agent && {agentSocket: agent.path}),
      ...(originalCommand !== undefined && {originalCommand}),
    })
    const started = await system.start({account, program, environment, ...(terminal && {terminal})})
    void started.exited.then(closeAgent)
    return started
  } catch (error) {
    closeAgent()
    throw error
  }
}

const tooMany = (limit: number): SallyportError =>
  problem('limit_exceeded', `this connection has ${limit} sessions already, which is the limit`)
