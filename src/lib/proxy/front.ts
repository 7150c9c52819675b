import type {Duplex} from 'node:stream'
import type {AuditInput} from '../audit/event.js'
import type {Caller} from '../auth/contract.js'
import {asProblem, problem, problemLine, type SallyportError} from '../errors/index.js'
import {type Forwarder, forward, type Ingress, type OuterConnection, type Target} from '../forward/index.js'
import {type Channel, type ChannelOpen, openFailure, type SshConnection} from '../ssh/index.js'
import {WireReader, WireWriter} from '../sshcert/index.js'
import type {ProxyContext} from './context.js'
import {dialTarget} from './dial.js'
import {canonicalTarget, parseProxySubsystem, type TargetName} from './target-name.js'

/** The channel on which logged-in users reach the auth API: HTTP/1.1 with their certificate as the credential. */
export const authApiChannel = 'auth-api@sallyport'

const failureStatus = 255

/** One client's outer connection: what it may open on the proxy itself. */
export function serveClient(context: ProxyContext, connection: SshConnection, outer: OuterConnection): void {
  const forwarders = context.forwarders
  const {identity} = outer

  const connectTo = (name: TargetName): Target => ({
    host: name.host,
    port: name.port,
    dial: () => dialTarget(name, context.dial),
  })
  const emitConnect = (name: TargetName, details: Partial<AuditInput>): Promise<unknown> =>
    context.auth.emit({
      event: 'session.connect',
      user: identity.user,
      server_hostname: name.host,
      forwarded_by: context.proxyId,
      'addr.remote': outer.remoteAddress,
      'addr.local': outer.localAddress,
      proto: 'ssh',
      ...details,
    })

  /** Recording: the proxy ends the inner connection. Otherwise it passes on bytes it cannot read. */
  const reach: Reach = async (name, outerAgent, openChannel) => {
    if (name.cluster !== undefined && name.cluster !== context.clusterName) {
      throw problem('host_not_found', `the cluster ${name.cluster} is not known here`)
    }
    if (context.recording) {
      record(name, outerAgent, openChannel())
      return
    }
    const dialled = await dialTarget(name, context.dial).catch(async error => {
      await emitConnect(name, {success: false, error: problemLine(asProblem(error))})
      throw error
    })
    await emitConnect(name, {server_addr: dialled.address, fields: {session_recording: 'off'}})
    splice(openChannel(), dialled.stream)
  }
  const record = (name: TargetName, outerAgent: OuterAgent, channel: Channel): void => {
    channel.stderr.resume()
    const settings = context.forwardSettings
    const forwarder: Forwarder = forward(settings, {...outer, outerAgent}, connectTo(name), channel)
    forwarders.add(forwarder)
    void forwarder.done.then(() => {
      forwarders.delete(forwarder)
      channel.close()
    })
  }

  connection.onChannelOpen = open => {
    if (open.type === 'session') return serveSession(open, reach, context)
    if (open.type === 'direct-tcpip') return serveDirect(open, reach)
    if (open.type !== authApiChannel) {
      return open.reject(
        openFailure.unknownChannelType,
        `the proxy has no ${open.type.slice(0, 64)} channels`,
      )
    }
    const caller: Caller = {kind: 'user', name: identity.user, roles: identity.roles, logins: identity.logins}
    context.serveApi(open.accept(), caller)
  }
  connection.onGlobalRequest = ({type}) =>
    type === 'recording-proxy@teleport.com' ? Buffer.from(String(context.recording)) : false
}

type OuterAgent = Ingress['outerAgent']
type Reach = (name: TargetName, outerAgent: OuterAgent, openChannel: () => Channel) => Promise<void>

/** `ssh -J proxy host`: the target is in the channel itself, and a refusal is the answer to opening it. */
function serveDirect(open: ChannelOpen, reach: Reach): void {
  const attempt = async (): Promise<void> => {
    const reader = new WireReader(open.data)
    await reach(canonicalTarget(reader.text(), reader.u32()), 'unknown', open.accept)
  }
  attempt().catch(error => {
    const failure = asProblem(error)
    const reason = failure.code === 'host_unreachable' ? 'connectFailed' : 'administrativelyProhibited'
    open.reject(openFailure[reason], problemLine(failure))
  })
}

/** `ssh -s proxy:host:port`: env and agent requests, then one subsystem; anything else is explained and refused. */
function serveSession(open: ChannelOpen, reach: Reach, context: ProxyContext): void {
  const channel = open.accept()
  let outerAgent: OuterAgent = 'absent'
  let started = false
  const refuse = (error: SallyportError): void => explain(channel, error)
  channel.onRequest = ({type, data, reply}) => {
    if (type === 'env') return reply(true)
    if (type === 'auth-agent-req@openssh.com') {
      outerAgent = 'offered'
      return reply(true)
    }
    if (started || (type !== 'subsystem' && type !== 'shell' && type !== 'exec')) return reply(false)
    started = true
    reply(true)
    if (type !== 'subsystem') return refuse(notAHost)
    startSubsystem(data).catch(error => refuse(asProblem(error)))
  }
  const startSubsystem = async (data: Buffer): Promise<void> => {
    const name = new WireReader(data).text()
    if (name === 'proxysites') return finish(channel, sites(context.clusterName), 0)
    const target = /^proxy:(.*)$/s.exec(name)?.[1]
    if (target === undefined)
      throw problem('invalid_input', `the proxy has no subsystem ${name.slice(0, 64)}`)
    await reach(parseProxySubsystem(target), outerAgent, () => channel)
  }
}

const notAHost = problem('usage', 'this is the proxy, it runs no commands itself', {
  hint: 'name a host: `sallyport ssh user@host`, or `ssh -A -J` with the proxy as jump host',
})

const sites = (clusterName: string): string =>
  `${JSON.stringify([{name: clusterName, lastconnected: new Date().toISOString(), status: 'online'}])}\n`

/** On a channel that is already open, the reason goes to stderr and the status says failure. */
function explain(channel: Channel, error: SallyportError): void {
  channel.stderr.write(`sallyport: ${problemLine(error)}\r\n`, () => finish(channel, '', failureStatus))
}

function finish(channel: Channel, output: string, status: number): void {
  channel.end(output, () => {
    void channel.request('exit-status', new WireWriter().u32(status).finish(), false)
    channel.close()
  })
}

/** Passes bytes between a channel and a socket until both have ended. */
function splice(channel: Channel, socket: Duplex): void {
  channel.stderr.resume()
  socket.on('error', () => channel.close())
  socket.on('close', () => channel.end(() => channel.close()))
  channel.onClosed = () => socket.destroy()
  channel.pipe(socket)
  socket.pipe(channel)
}
