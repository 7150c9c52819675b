import type {Duplex} from 'node:stream'
import {namesOf} from '../access/hosts.js'
import type {AuditInput} from '../audit/event.js'
import {asProblem, problem, problemLine, type SallyportError} from '../errors/index.js'
import {
  type AdmittedClient,
  clientConnection,
  type ForwarderWord,
  guardedTarget,
  type ServedClient,
} from '../session/index.js'
import {type Channel, type ChannelOpen, openFailure} from '../ssh/index.js'
import {isPinned} from '../sshcert/index.js'
import {admit, type Prepared} from './admit.js'
import {agentSource} from './agent-source.js'
import {forwardPort, forwardRemotePort, joinOpened} from './ports.js'
import {serverFacts} from './server-facts.js'
import {createSessions} from './sessions.js'
import type {TargetConnection} from './target.js'
import {createTargetLink} from './target-link.js'
import type {ForwardSettings, Ingress, Target} from './types.js'

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
): ServedClient {
  let client: ServedClient | undefined
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

/** Serves the client's channels until its connection ends. */
function serve(
  settings: ForwardSettings,
  ingress: Ingress,
  target: Target,
  admitted: AdmittedClient,
): ServedClient {
  const {connection: client, options} = admitted
  const {guard, now} = settings
  const {host, registered} = target
  const consent: Consent = {agent: false, ports: false, x11: false}
  const facts = factsOf(settings, ingress, target, admitted)
  const emit = (input: AuditInput): Promise<unknown> => settings.auth.emit({...facts, proto: 'ssh', ...input})
  const agents = agentSource(ingress, client)
  const connection = clientConnection({
    ...{admitted, guard, host, aliases: registered ? namesOf(registered) : []},
    ...{emit, emitEnd: emit, now},
  })
  const {onActivity, track} = connection

  const link = createTargetLink({
    ...{settings, emit},
    target: guardedTarget(target, connection.place),
    login: admitted.login,
    certificate: admitted.certificate,
    word: wordFor(admitted, ingress),
    openAgent: agents.open,
    abandoned: client.closed,
    onConnected: ({connection: remote, terms}) => {
      if (terms) connection.tighten(terms.idleTimeoutSeconds)
      remote.onChannelOpen = open =>
        track(fromTarget(open, {consent, onActivity, openChannel: client.openChannel}))
      void client.closed.then(() => remote.disconnect())
      void remote.closed.then(() => {
        sessions.targetLost(terms?.ended() ?? connectionLost(target))
        return connection.hangUp()
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
  return connection.serve({
    sessions: {...sessions, open: open => track(sessions.open(open))},
    forwardPort: open => forwardPort(open, ports),
    requestPort(request) {
      consent.ports ||= options.portForwarding
      return forwardRemotePort(request, ports)
    },
    answerOther: ({type}) => (type === 'recording-proxy@teleport.com' ? Buffer.from('true') : undefined),
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

/** A node asks again for what we have seen to, and cannot see where the client comes from: only then it is told. */
function wordFor(
  {certificate, identity: {user}, options}: AdmittedClient,
  {remoteIp: address}: Ingress,
): ForwarderWord | undefined {
  const secondFactor = options.requireSessionMfa
  return secondFactor || isPinned(certificate) ? {user, secondFactor, address} : undefined
}

const connectionLost = ({host}: Target): SallyportError =>
  problem('host_unreachable', `the connection to ${host} was lost`, {hint: 'see whether its sshd still runs'})

const factsOf = (settings: ForwardSettings, ingress: Ingress, target: Target, admitted: AdmittedClient) => ({
  user: admitted.identity.user,
  login: admitted.login,
  ...serverFacts(target),
  server_addr: target.registered?.address ?? `${target.host}:${target.port}`,
  forwarded_by: settings.proxyId,
  'addr.remote': ingress.remoteAddress,
  'addr.local': ingress.localAddress,
})
