import type {Duplex} from 'node:stream'
import {onRecord} from '../access/route.js'
import type {Identity} from '../access/types.js'
import type {AuditInput} from '../audit/event.js'
import type {Caller} from '../auth/contract.js'
import {asProblem, problem, problemLine, type SallyportError} from '../errors/index.js'
import {forward, type Ingress, type OuterConnection, prepare, type Target} from '../forward/index.js'
import {explainOn, finishChannel, personOf, rejectOpen, shuttingDown} from '../session/index.js'
import {type Channel, type ChannelOpen, openFailure, type SshConnection} from '../ssh/index.js'
import {WireReader} from '../sshcert/index.js'
import type {ProxyContext} from './context.js'
import {type JoinWay, joinHere, leadToHolder} from './join.js'
import {leafTarget} from './leaf-target.js'
import {passUnrecorded} from './pass-unrecorded.js'
import {routeTarget} from './route.js'
import {sites} from './sites.js'
import {canonicalTarget, parseProxySubsystem, type TargetName} from './target-name.js'

/** The channel on which logged-in users reach the auth API: HTTP/1.1 with their certificate as the credential. */
export const authApiChannel = 'auth-api@sallyport'

/** Names come from clients; what stands in the audit log of one that is none is bounded. */
const maxShownName = 255

/** One client's outer connection: what it may open on the proxy itself. */
export function serveClient(
  context: ProxyContext,
  connection: SshConnection,
  outer: OuterConnection,
  certificate: Buffer,
): void {
  const forwarders = context.forwarders
  const {identity} = outer
  endWhenLocked(context, connection, identity)

  const {remoteAddress, localAddress} = outer
  const throughTunnel = (id: string): Promise<Duplex> | undefined =>
    context.tunnels.has({kind: 'node', id})
      ? context.tunnels.dial({kind: 'node', id}, {remoteAddress, localAddress})
      : undefined
  const router = {...context, throughTunnel}
  const connectTo = (name: TargetName): Promise<Target> =>
    name.cluster === undefined || name.cluster === context.clusterName
      ? routeTarget(router, identity, name)
      : leafTarget(context, {certificate, remoteAddress, localAddress}, name, name.cluster)
  const emit = (input: AuditInput): Promise<unknown> =>
    context.auth.emit({
      user: identity.user,
      forwarded_by: context.proxyId,
      'addr.remote': outer.remoteAddress,
      'addr.local': outer.localAddress,
      proto: 'ssh',
      ...input,
    })

  /** Recording: the proxy ends the inner connection. Otherwise it passes on bytes it cannot read. */
  const reach: Reach = async (name, outerAgent, openChannel) => {
    if (context.draining()) throw shuttingDown('proxy')
    if (context.recording) await record(name, outerAgent, openChannel)
    else await pass(name, outerAgent, openChannel)
  }
  const record = async (
    name: TargetName,
    outerAgent: OuterAgent,
    openChannel: () => Channel,
  ): Promise<void> => {
    const settings = context.forwardSettings
    const [prepared, target] = await Promise.all([prepare(settings, name.host), connectTo(name)])
    if (context.draining()) throw shuttingDown('proxy')
    const channel = openChannel()
    channel.stderr.resume()
    const ingress = {...outer, outerAgent}
    const forwarder = forward(settings, ingress, target, prepared, channel)
    forwarders.add(forwarder)
    void forwarder.done.then(() => {
      forwarders.delete(forwarder)
      channel.close()
    })
  }
  const pass = async (name: TargetName, outerAgent: OuterAgent, openChannel: () => Channel): Promise<void> =>
    passUnrecorded({
      ...{context, identity, pinned: outer.pinned, target: await connectTo(name), openChannel, emit},
      farewell(channel, error) {
        // A channel of `ssh -J` has no stderr.
        if (outerAgent === 'unknown') channel.end(() => channel.close())
        else explainOn(channel, error)
      },
    })
  /** The refusal, once it is on record. */
  const refused = async (thrown: unknown, asked: string): Promise<SallyportError> => {
    const error = asProblem(thrown)
    const reason = problemLine(onRecord(error))
    try {
      const event = {event: 'session.connect', success: false, error: reason} as const
      await emit({...event, server_hostname: asked.slice(0, maxShownName)})
    } catch (lost) {
      context.log.warn({error: problemLine(asProblem(lost)), reason}, 'audit event lost')
    }
    return error
  }

  const joinWay: JoinWay = {context, router, outer, emit, farewell: explainOn}
  connection.onChannelOpen = open => {
    // What runs goes on where no role says otherwise; nothing new begins.
    if (identity.validBefore * 1000 <= context.now()) return rejectOpen(open, expired())
    if (open.type === 'session') {
      const joined: SessionWay['joined'] = async (how, words, channel) => {
        if (context.draining()) throw shuttingDown('proxy')
        await (how === 'join' ? joinHere : leadToHolder)(joinWay, words, channel)
      }
      return serveSession(open, {context, reach, refused, joined})
    }
    if (open.type === 'direct-tcpip') return serveDirect(open, {reach, refused})
    if (open.type !== authApiChannel) {
      return open.reject(
        openFailure.unknownChannelType,
        `the proxy has no ${open.type.slice(0, 64)} channels`,
      )
    }
    const {user: name, roles, logins} = identity
    const caller: Caller = {...{kind: 'user', name, roles, logins}, expires: identity.validBefore * 1000}
    context.serveApi(open.accept(), caller, {certificate, address: outer.remoteIp})
  }
  connection.onGlobalRequest = ({type}) =>
    type === 'recording-proxy@teleport.com' ? Buffer.from(String(context.recording)) : false
}

/** What runs on the connection is ended by itself, has a second to say so, and then goes with it. */
const lockedMilliseconds = 1300

function endWhenLocked({locks}: ProxyContext, connection: SshConnection, identity: Identity): void {
  let timer: NodeJS.Timeout | undefined
  const end = (error: SallyportError): void => {
    timer = setTimeout(() => connection.fail(error), lockedMilliseconds)
  }
  try {
    const unwatch = locks.watch({subject: () => personOf(identity), strictness: 'best_effort', end})
    void connection.closed.then(() => {
      unwatch()
      clearTimeout(timer)
    })
  } catch (error) {
    connection.fail(asProblem(error))
  }
}

type OuterAgent = Ingress['outerAgent']
type Reach = (name: TargetName, outerAgent: OuterAgent, openChannel: () => Channel) => Promise<void>

interface Way {
  reach: Reach
  refused(thrown: unknown, asked: string): Promise<SallyportError>
}

/** `ssh -J proxy host`: the target is in the channel itself, and a refusal is the answer to opening it. */
function serveDirect(open: ChannelOpen, {reach, refused}: Way): void {
  let asked = ''
  const attempt = async (): Promise<void> => {
    const reader = new WireReader(open.data)
    asked = reader.text()
    await reach(canonicalTarget(asked, reader.u32()), 'unknown', open.accept)
  }
  attempt().catch(async thrown => {
    const error = await refused(thrown, asked)
    const reason = error.code === 'host_unreachable' ? 'connectFailed' : 'administrativelyProhibited'
    open.reject(openFailure[reason], problemLine(error))
  })
}

interface SessionWay extends Way {
  context: ProxyContext
  /** Seats the client at a session that runs here, or leads it to the machine that holds it. */
  joined(how: 'join' | 'holder', words: string, channel: Channel): Promise<void>
}

/** `ssh -s proxy:host:port`: env and agent requests, then one subsystem; anything else is explained and refused. */
function serveSession(open: ChannelOpen, {context, reach, refused, joined}: SessionWay): void {
  const channel = open.accept()
  let outerAgent: OuterAgent = 'absent'
  let asked: string | undefined
  channel.onRequest = ({type, data, reply}) => {
    // A terminal makes stock clients send each key as it is typed, which is what joining wants.
    if (type === 'env' || (type === 'pty-req' && asked === undefined)) return reply(true)
    if (type === 'auth-agent-req@openssh.com' && asked === undefined) {
      outerAgent = 'offered'
      return reply(true)
    }
    if (asked !== undefined || (type !== 'subsystem' && type !== 'shell' && type !== 'exec')) {
      return reply(false)
    }
    asked = ''
    reply(true)
    start(type, data).catch(async thrown => explainOn(channel, await refused(thrown, asked ?? '')))
  }
  const start = async (type: string, data: Buffer): Promise<void> => {
    if (type !== 'subsystem') throw notAHost()
    asked = new WireReader(data).text()
    if (asked === 'proxysites') return finishChannel(channel, await sites(context), 0)
    const [, how, words] = /^(join|holder):(.*)$/s.exec(asked) ?? []
    if ((how === 'join' || how === 'holder') && words !== undefined) return joined(how, words, channel)
    if (!asked.startsWith('proxy:')) {
      throw problem('invalid_input', `the proxy has no subsystem ${JSON.stringify(asked.slice(0, 64))}`)
    }
    asked = asked.slice('proxy:'.length)
    await reach(parseProxySubsystem(asked), outerAgent, () => channel)
  }
}

const notAHost = (): SallyportError =>
  problem('usage', 'this is the proxy, it runs no commands itself', {
    hint: 'name a host: `sallyport ssh user@host`, or `ssh -A -J` with the proxy as jump host',
  })

const expired = (): SallyportError =>
  problem('certificate_expired', 'your certificate has expired', {hint: 'log in again'})
