import {
  type ClientSessions,
  createSessionSlots,
  type Ends,
  keepRecord,
  type SessionFacts,
  sessionWarner,
  type TerminalSize,
  tellSessionId,
} from '../session/index.js'
import type {Channel, ChannelOpen} from '../ssh/index.js'
import type {NodeProcess} from './process/index.js'
import {recordElsewhere} from './record-elsewhere.js'
import type {RecordingPlace} from './recording-place.js'
import {type Launch, type NodeSession, serveSession} from './session.js'
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
  const slots = createSessionSlots<NodeSession>({
    maxSessions: admitted.options.maxSessions,
    emit: input => settings.auth.emit({...facts, proto: 'ssh', ...input}),
  })
  const begin = (open: ChannelOpen) => (): Promise<void> =>
    slots.run(onDone => openSession(parameters, open, onDone))
  return {...slots, open: open => track(slots.open(open, begin(open)))}
}

/** One session, with its ID set and told before anything else is said on its channel. */
function openSession(parameters: SessionsOptions, open: ChannelOpen, onDone: () => void): NodeSession {
  const {settings, admitted, onActivity, onResize} = parameters
  const {options, certificate, identity} = admitted
  const place = parameters.place()
  const facts = {...parameters.facts, sid: settings.sessionId()}
  const channel = open.accept()
  tellSessionId(channel, facts.sid)
  const here = {facts, options, roles: identity.roles, session: () => session}
  const kept = place === 'forwarder' ? recordElsewhere : keepRecord(settings, {...here, place})
  const forced = certificate.criticalOptions.get('force-command')
  const session = serveSession({
    ...{channel, options, onDone, onActivity, onResize},
    ...(forced !== undefined && {forcedCommand: forced}),
    ...{...kept, recordSession: options.recordSession},
    launch: wish => launch(parameters, facts.sid, wish),
    onSubsystem: name => kept.emit({event: 'subsystem', fields: {name}}),
    onX11: success => kept.emit({event: 'x11', success}),
    onProblem: sessionWarner(settings.log, facts)('session record incomplete'),
  })
  return session
}

/** The program that was asked for, as the login user, with the client's agent at hand where that was asked for too. */
async function launch(parameters: SessionsOptions, sid: string, wish: Launch): Promise<NodeProcess> {
  const {settings, admitted, peer} = parameters
  const {system} = settings
  const warn = sessionWarner(settings.log, {sid})
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
