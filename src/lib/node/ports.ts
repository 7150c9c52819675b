import type {Socket} from 'node:net'
import type {AuditInput} from '../audit/event.js'
import {problem} from '../errors/index.js'
import {auditedPort, channelAddress, listenAddress, portsNotPermitted, rejectOpen} from '../session/index.js'
import type {Channel, ChannelOpen, GlobalAnswer, GlobalRequest} from '../ssh/index.js'
import {WireReader, WireWriter} from '../sshcert/index.js'
import {joinPlug, type Plug, streamPlug} from './join-plug.js'
import type {Account} from './process/index.js'
import type {Listener, UserSockets} from './user-sockets.js'

/** Ports and sockets of this host that lead to one client. */
const maxListeners = 32
const maxPath = 4096

export interface PortsOptions {
  allowed: boolean
  /** Of the login, asked anew each time. */
  account(): Promise<Account>
  sockets: UserSockets
  emit(input: AuditInput): Promise<unknown>
  openChannel(type: string, data: Buffer): Promise<Channel>
  /** Bytes passed, either way. */
  onActivity(): void
  track(work: Promise<unknown>): void
}

/** Ports and Unix sockets that a client reaches from this host, and those of this host that lead to the client. */
export interface Ports {
  /** direct-tcpip and direct-streamlocal (RFC 4254 §7.2, PROTOCOL §2.4). */
  forward(open: ChannelOpen): Promise<void>
  /** A request of `remotePortRequests`. */
  request(request: GlobalRequest): Promise<GlobalAnswer>
  close(): void
}

export function createPorts(options: PortsOptions): Ports {
  const {allowed, emit, onActivity, track} = options
  /** By what the client asked for. */
  const listeners = new Map<string, Listener>()
  /** Asked for and not there yet. */
  let pending = 0
  let closed = false

  const dial = async ({type, data}: ChannelOpen): Promise<Plug> => {
    if (!allowed) throw portsNotPermitted()
    const account = await options.account()
    const reader = new WireReader(data)
    const name = reader.string().toString('utf8')
    if (type !== 'direct-tcpip') return options.sockets.connectPath(account, readablePath(name))
    return options.sockets.connectPort(readableHost(name), readablePort(reader.u32()))
  }
  const welcome = (socket: Socket, type: string, data: Buffer): void => {
    const plug = streamPlug(socket)
    const lead = async (): Promise<void> => {
      try {
        await joinPlug(await options.openChannel(type, data), plug, onActivity)
      } catch {
        // The client does not take it, and whoever connected sees the connection end: nobody else is concerned.
        plug.destroy()
      }
    }
    track(lead())
  }
  const listenPort = async (data: Buffer): Promise<GlobalAnswer> => {
    const reader = new WireReader(data)
    const [host, asked] = [reader.string().toString('utf8'), reader.u32()]
    const {uid} = await options.account()
    const port = readablePort(asked, 0)
    // Taken as root, a port would be had that the user has no right to.
    if (port !== 0 && port < 1024 && uid !== 0)
      throw problem('access_denied', `port ${port} is for root alone`)
    const listener = await options.sockets.listenPort(port, socket => {
      const origin = new WireWriter().string(host).u32(listener.port)
      const {remoteAddress = '127.0.0.1', remotePort = 0} = socket
      welcome(socket, 'forwarded-tcpip', origin.string(remoteAddress).u32(remotePort).finish())
    })
    keep(portKey(host, listener.port), listener)
    return asked === 0 ? new WireWriter().u32(listener.port).finish() : true
  }
  const listenPath = async (data: Buffer): Promise<GlobalAnswer> => {
    const path = readablePath(new WireReader(data).string().toString('utf8'))
    const listener = await options.sockets.listenPath(await options.account(), path, socket =>
      welcome(socket, 'forwarded-streamlocal@openssh.com', new WireWriter().string(path).string('').finish()),
    )
    keep(path, listener)
    return true
  }
  const keep = (key: string, listener: Listener): void => {
    if (closed || listeners.has(key)) {
      listener.close()
      throw problem('cancelled', 'this is listened at already, or the client has left')
    }
    listeners.set(key, listener)
  }
  const cancel = (type: string, data: Buffer): boolean => {
    const reader = new WireReader(data)
    const name = reader.string().toString('utf8')
    const key = type.includes('tcpip') ? portKey(name, reader.u32()) : name
    listeners.get(key)?.close()
    return listeners.delete(key)
  }

  return {
    async forward(open) {
      const event = {event: 'port', fields: {addr: channelAddress(open.data)}} as const
      let plug: Plug
      try {
        plug = await auditedPort(emit, event, () => dial(open))
      } catch (error) {
        return rejectOpen(open, error)
      }
      try {
        await emit(event)
        await joinPlug(open.accept(), plug, onActivity)
      } catch (error) {
        plug.destroy()
        rejectOpen(open, error)
      }
    },
    async request({type, data}) {
      if (type.startsWith('cancel-')) return cancel(type, data)
      const event = {event: 'port', fields: {addr: listenAddress(type, data), remote: true}} as const
      pending++
      const answer = await auditedPort(emit, event, async () => {
        if (!allowed) throw portsNotPermitted()
        if (listeners.size + pending > maxListeners)
          throw problem('limit_exceeded', `${maxListeners} ports are the limit`)
        return type === 'tcpip-forward' ? listenPort(data) : listenPath(data)
      }).finally(() => pending--)
      await emit(event)
      return answer
    },
    close() {
      closed = true
      for (const listener of listeners.values()) listener.close()
      listeners.clear()
    },
  }
}

const portKey = (host: string, port: number): string => `${host}\n${port}`

function readableHost(host: string): string {
  if (/^[\x21-\x7e]{1,253}$/.test(host)) return host
  throw problem('invalid_input', 'this is not the name of a host')
}

function readablePort(port: number, least = 1): number {
  if (port >= least && port <= 65_535) return port
  throw problem('invalid_input', `the port must be from ${least} to 65535`)
}

function readablePath(path: string): string {
  if (path.startsWith('/') && path.length <= maxPath && !path.includes('\0')) return path
  throw problem('invalid_input', 'the path of a socket begins with /')
}
