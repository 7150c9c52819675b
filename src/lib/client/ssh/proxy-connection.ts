import {type Socket, connect as tcpConnect} from 'node:net'
import type {Readable, Writable} from 'node:stream'
import {serveAgent, signerEntry} from '../../agent/index.js'
import {asProblem, problem} from '../../errors/index.js'
import {formatAddress} from '../../names/index.js'
import {
  type Channel,
  connect,
  openFailure,
  type PresentedHostKey,
  type SshConnection,
} from '../../ssh/index.js'
import {checkCertificate, hostRoleOf, WireWriter} from '../../sshcert/index.js'
import {formatProxyAddress} from '../address.js'
import type {Identity} from '../identity/identity.js'

const connectMilliseconds = 10_000
const handshakeMilliseconds = 30_000

/**
 * An SSH connection to the proxy as this identity. The proxy may use the identity's key through an agent of our own
 * that holds nothing else, so recording works where no ssh-agent runs.
 * @throws proxy_unreachable, host_key_refused, certificate_rejected, …
 */
export async function connectToProxy(identity: Identity): Promise<SshConnection> {
  const {profile, certificate, signer} = identity
  const connection = await connect({
    stream: await openSocket(profile.proxy.sshHost, profile.proxy.sshPort),
    username: profile.user,
    credentials: async () => [{blob: certificate, signer}],
    verifyHostKey: async key => verifyProxy(key, identity),
    timeoutMilliseconds: handshakeMilliseconds,
  })
  connection.onChannelOpen = open => {
    if (open.type !== 'auth-agent@openssh.com') {
      return open.reject(openFailure.administrativelyProhibited, 'not asked for')
    }
    void serveAgent(open.accept(), [signerEntry(signer, `sallyport:${profile.user}`, certificate)])
  }
  return connection
}

function openSocket(host: string, port: number): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = tcpConnect({host, port, noDelay: true})
    const fail = (why: string, cause?: unknown): void => {
      socket.destroy()
      const name = formatAddress({host, port})
      reject(
        problem('proxy_unreachable', `the proxy's SSH port ${name} cannot be reached: ${why}`, {
          hint: 'check that it runs and that no firewall is between',
          cause,
        }),
      )
    }
    const timer = setTimeout(() => fail('no answer in 10 s'), connectMilliseconds)
    socket.once('error', error => {
      clearTimeout(timer)
      fail(error.message, error)
    })
    socket.once('connect', () => {
      clearTimeout(timer)
      socket.removeAllListeners('error')
      resolve(socket)
    })
  })
}

/**
 * The proxy is who has a proxy's certificate of the cluster's host authority, for the name we know it by or for the
 * cluster itself. A node chooses its own name, so a name alone does not make a proxy.
 */
function verifyProxy({certificate}: PresentedHostKey, {profile, hostAuthorities}: Identity): void {
  const {sshHost, host} = profile.proxy
  const name = [sshHost, host, profile.cluster].find(candidate => certificate?.principals.includes(candidate))
  try {
    if (!certificate) throw problem('host_key_refused', 'it presented a plain key')
    checkCertificate(certificate, {
      kind: 'host',
      authorities: hostAuthorities,
      principal: name ?? sshHost,
      now: Date.now(),
    })
    if (hostRoleOf(certificate).role !== 'Proxy')
      throw problem('host_key_refused', 'its certificate is not of a proxy')
  } catch (cause) {
    throw problem('host_key_refused', `this is not the proxy you logged in to: ${asProblem(cause).message}`, {
      hint: `if the cluster was set up anew, log in again: sallyport login --proxy=${formatProxyAddress(profile.proxy)}`,
      cause,
    })
  }
}

/**
 * Opens the way to a host: a channel of the proxy connection that carries another SSH connection. What the proxy says
 * against it comes as its stderr and is the error.
 */
export async function openProxySubsystem(
  proxy: SshConnection,
  target: {host: string; port?: number | undefined; cluster?: string | undefined},
): Promise<Channel> {
  const channel = await proxy.openChannel('session')
  const host = target.host.includes(':') ? `[${target.host}]` : target.host
  const port = target.port === undefined ? '' : `:${target.port}`
  const name = `proxy:${host}${port}${target.cluster === undefined ? '' : `@${target.cluster}`}`
  void channel.request('auth-agent-req@openssh.com', undefined, false)
  if (await channel.request('subsystem', new WireWriter().string(name).finish())) return channel
  channel.close()
  throw problem('proxy_refused', 'the proxy refused to connect to hosts')
}

/**
 * Carries the bytes of somebody else's SSH connection between two streams and a host, until either side ends.
 * What the proxy says on stderr is passed on: it is why there is no connection.
 */
export async function carryConnection(
  identity: Identity,
  target: {host: string; port?: number | undefined; cluster?: string | undefined},
  input: Readable,
  output: Writable,
  errors: Writable,
): Promise<void> {
  const proxy = await connectToProxy(identity)
  const channel = await openProxySubsystem(proxy, target)
  channel.stderr.pipe(errors, {end: false})
  const closed = new Promise<void>(resolve => {
    channel.onClosed = resolve
  })
  input.pipe(channel)
  channel.pipe(output, {end: false})
  output.on('error', () => channel.close())
  const done = new Promise<void>(resolve => {
    channel.on('end', resolve)
  })
  await Promise.all([closed, done])
  input.destroy()
  proxy.disconnect()
}
