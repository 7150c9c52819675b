import {problem, type SallyportError} from '../errors/index.js'
import {
  type ClientSessions,
  type Ends,
  rejectOpen,
  type SessionFacts,
  type TerminalSize,
  tellSessionId,
} from '../session/index.js'
import {type Channel, type ChannelOpen, openFailure} from '../ssh/index.js'
import type {NodeProcess} from './process/index.js'
import type {RecordingPlace} from './recording-place.js'
import {type Launch, type NodeSession, serveSession} from './session.js'
import {recordElsewhere, recordHere, warner} from './session-record.js'
import type {Admitted, NodeSettings} from './types.js'

export interface SessionsOptions {
  settings: NodeSettings
  admitted: Admitted
  peer: Ends
  /** What all sessions of the connection have in common. */
  facts: Omit<SessionFacts, 'sid'>
  /** Who keeps the record of a session that is opened now. */
  place(): RecordingPlace
  onActivity(): void
  onResize(size: TerminalSize): void
  track(work: Promise<unknown>): void
}

/** The sessions of one connection. */
export function createNodeSessions(parameters: SessionsOptions): ClientSessions {
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
  const {settings, admitted, onActivity, onResize} = parameters
  const {options, certificate, identity} = admitted
  const place = parameters.place()
  const facts = {...parameters.facts, sid: settings.sessionId()}
  const channel = open.accept()
  tellSessionId(channel, facts.sid)
  const warn = warner(settings, facts.sid)
  const here = {facts, options, roles: identity.roles, session: () => session, warn}
  const kept = place === 'forwarder' ? recordElsewhere : recordHere(settings, {...here, place})
  const forced = certificate.criticalOptions.get('force-command')
  const session = serveSession({
    ...{channel, options, onDone, onActivity, onResize},
    ...(forced !== undefined && {forcedCommand: forced}),
    record: kept.record,
    recordSession: options.recordSession,
    overseen: kept.overseen,
    holdsInput: kept.paused,
    watchTransfer: kept.watchTransfer,
    launch: wish => launch(parameters, facts.sid, wish),
    onSubsystem: name => kept.emit({event: 'subsystem', fields: {name}}),
    onX11: success => kept.emit({event: 'x11', success}),
    onProblem: warn('session record incomplete'),
  })
  return session
}

/** The program that was asked for, as the login user, with the client's agent at hand where that was asked for too. */
async function launch(parameters: SessionsOptions, sid: string, wish: Launch): Promise<NodeProcess> {
  const {settings, admitted, peer} = parameters
  const {system} = settings
  const warn = warner(settings, sid)
  const {program, terminal, wished, originalCommand} = wish
  const account = await system.account(admitted.login)
  const connect = (): Promise<Channel> => admitted.connection.openChannel('auth-agent@openssh.com')
  // A full disk keeps nobody out.
  const withoutAgent = (error: unknown): undefined => {
    warn('a session goes without its agent')(error)
  }
  const agent = wish.agent ? await system.openAgent(account, connect).catch(withoutAgent) : undefined
  const closeAgent = (): void => {
    agent?.close().catch(warn("an agent's socket is left"))
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
