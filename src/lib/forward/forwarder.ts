import type {Duplex} from 'node:stream'
import {namesOf} from '../access/hosts.js'
import type {AuditInput} from '../audit/event.js'
import {asProblem, problem, problemLine, type SallyportError} from '../errors/index.js'
import {
  type ConnectionWatch,
  type GuardedPlace,
  guardedTarget,
  remotePortRequests,
  trackWork,
  watchConnection,
} from '../session/index.js'
import {type Channel, type ChannelOpen, openFailure} from '../ssh/index.js'
import {type Admitted, admit, type Prepared} from './admit.js'
import {agentSource} from './agent-source.js'
import {forwardPort, forwardRemotePort, joinOpened} from './ports.js'
import {serverFacts} from './server-facts.js'
import {createSessions} from './sessions.js'
import type {TargetConnection} from './target.js'
import {createTargetLink} from './target-link.js'
import type {ForwardSettings, Ingress, Target} from './types.js'

/** Requests for ports at the target that wait for their answer, wanted or not. */
const maxPortRequests = 64
/** What a locked user's sessions have for their last words and records before the connection is cut. */
const lockedMilliseconds = 1000

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
  prepared: Prepared,
  stream: Duplex,
): Forwarder {
  let client: ForwardedClient | undefined
  let ending: SallyportError | undefined
  const run = async (): Promise<void> => {
    const admitted = await admit(settings, ingress, target, prepared, stream)
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
  const facts = factsOf(settings, ingress, target, admitted)
  const emit = (input: AuditInput): Promise<unknown> => settings.auth.emit({...facts, proto: 'ssh', ...input})
  const agents = agentSource(ingress, client)
  const noteEnd = (error: SallyportError): void =>
    work.track(emit({event: 'client.disconnect', fields: {reason: error.message}}))
  const watch = watchClient(settings, admitted, error => {
    noteEnd(error)
    end(error)
  })
  let place: GuardedPlace | undefined
  const onActivity = watch.touch

  const link = createTargetLink({
    ...{settings, emit},
    target: guardedTarget(target, () => place),
    login: admitted.login,
    certificate: admitted.certificate,
    openAgent: agents.open,
    abandoned: client.closed,
    onConnected: ({connection, terms}) => {
      if (terms) watch.tighten(terms.idleTimeoutSeconds)
      connection.onChannelOpen = open =>
        work.track(fromTarget(open, {consent, onActivity, openChannel: client.openChannel}))
      void client.closed.then(() => connection.disconnect())
      void connection.closed.then(() => {
        sessions.targetLost(terms?.ended() ?? connectionLost(target))
        return hangUp()
      })
    },
  })
  const sessions = createSessions({
    ...{settings, ingress, options, facts, emit, link, agents, onActivity},
    onAgentRequested: () => {
      consent.agent = options.agentForwarding
    },
    onX11: allowed => {
      consent.x11 = allowed
    },
  })
  const reachForPort = async (): Promise<TargetConnection> => {
    if (!link.asked) await agents.settled()
    return link.reach()
  }
  const ports = {allowed: options.portForwarding, reach: reachForPort, emit, onActivity}
  /** What the sessions still have to deliver and to record comes first. */
  const hangUp = (): Promise<void> => sessions.idle().then(() => client.disconnect())
  const end = (error: SallyportError): void => {
    sessions.end(error)
    void hangUp()
  }

  const cut = (error: SallyportError): void => {
    sessions.end(error)
    const timer = setTimeout(() => client.fail(error), lockedMilliseconds)
    void sessions
      .idle()
      .then(() => client.fail(error))
      .finally(() => clearTimeout(timer))
  }
  try {
    const {identity, login} = admitted
    const {lock, maxConnections} = options
    const onLocked = (error: SallyportError): void => {
      noteEnd(error)
      cut(error)
    }
    place = settings.guard.enter({
      identity,
      logins: [login],
      host: target.host,
      ...(target.registered && {aliases: namesOf(target.registered)}),
      lock,
      maxConnections,
      onLocked,
    })
  } catch (thrown) {
    const error = asProblem(thrown)
    work.track(emit({event: 'session.rejected', success: false, error: error.message}))
    cut(error)
  }

  client.onChannelOpen = open => {
    if (open.type === 'session') return work.track(sessions.open(open))
    if (open.type === 'direct-tcpip' || open.type === 'direct-streamlocal@openssh.com') {
      return work.track(forwardPort(open, ports))
    }
    open.reject(openFailure.unknownChannelType, `${open.type.slice(0, 64)} channels are not served here`)
  }
  let portRequests = 0
  client.onGlobalRequest = async request => {
    if (request.type === 'recording-proxy@teleport.com') return Buffer.from('true')
    if (request.type === 'no-more-sessions@openssh.com') {
      sessions.allowNoMore()
      return true
    }
    if (!remotePortRequests.has(request.type)) return false
    if (portRequests >= maxPortRequests) return false
    consent.ports ||= options.portForwarding
    portRequests++
    const answering = forwardRemotePort(request, ports).finally(() => portRequests--)
    work.track(answering)
    return answering
  }

  return {
    done: client.closed.then(() => {
      watch.stop()
      place?.leave()
      return work.idle()
    }),
    end,
  }
}

function watchClient(
  settings: ForwardSettings,
  {certificate, options}: Admitted,
  onOver: (error: SallyportError) => void,
): ConnectionWatch {
  return watchConnection({
    idleSeconds: options.idleTimeoutSeconds,
    ...(options.disconnectExpiredCert && {expires: Number(certificate.validBefore) * 1000}),
    now: settings.now,
    onOver,
  })
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

interface FromTarget {
  consent: Consent
  openChannel(type: string, data: Buffer): Promise<Channel>
  onActivity(): void
}

async function fromTarget(open: ChannelOpen, {consent, openChannel, onActivity}: FromTarget): Promise<void> {
  const needed = Object.hasOwn(targetChannels, open.type) ? targetChannels[open.type] : undefined
  if (needed && consent[needed]) {
    return joinOpened(open, () => openChannel(open.type, open.data), onActivity)
  }
  open.reject(openFailure.administrativelyProhibited, `${open.type.slice(0, 64)} was not asked for`)
}

const connectionLost = ({host}: Target): SallyportError =>
  problem('host_unreachable', `the connection to ${host} was lost`, {hint: 'see whether its sshd still runs'})

const factsOf = (settings: ForwardSettings, ingress: Ingress, target: Target, admitted: Admitted) => ({
  user: admitted.identity.user,
  login: admitted.login,
  ...serverFacts(target),
  server_addr: target.registered?.address ?? `${target.host}:${target.port}`,
  forwarded_by: settings.proxyId,
  'addr.remote': ingress.remoteAddress,
  'addr.local': ingress.localAddress,
})
