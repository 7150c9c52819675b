import {createServer, type Server, type Socket, connect as tcpConnect} from 'node:net'
import {asProblem, problem, problemLine} from '../../errors/index.js'
import type {Address} from '../../names/index.js'
import {type Channel, type ChannelOpen, openFailure, type SshConnection} from '../../ssh/index.js'
import {WireReader, WireWriter} from '../../sshcert/index.js'
import type {ChannelRouter} from './channel-router.js'
import {type ForwardSpec, parseDynamicForward, parseForward} from './forward-spec.js'
import {readSocksRequest, socksReply} from './socks.js'
import {refusalOf} from './target-connection.js'

export interface Forwarding {
  /** The port that is listened on, here or on the host. */
  port: number
  close(): void
}

export interface ForwardingOptions {
  connection: SshConnection
  /** Told of a connection that could not be made; the forwarding goes on. */
  onProblem(error: unknown): void
}

/** -L: a port here leads to an address as the host sees it (RFC 4254 §7.2). @throws unavailable */
function forwardLocal(spec: ForwardSpec, options: ForwardingOptions): Promise<Forwarding> {
  return listen(spec, socket => {
    const {target} = spec
    if (target) void joinDirect(socket, target, options)
  })
}

/** -D: a SOCKS5 proxy here leads anywhere the host can reach. @throws unavailable */
function forwardDynamic(spec: ForwardSpec, options: ForwardingOptions): Promise<Forwarding> {
  return listen(spec, socket => {
    readSocksRequest(socket).then(
      target =>
        joinDirect(socket, target, options, opened =>
          socket.write(socksReply(opened ? 'succeeded' : 'refused')),
        ),
      error => {
        options.onProblem(error)
        socket.destroy()
      },
    )
  })
}

/** -R: a port on the host leads to an address as seen from here (RFC 4254 §7.1). @throws access_denied */
async function forwardRemote(
  spec: ForwardSpec,
  {connection, onProblem}: ForwardingOptions,
  router: ChannelRouter,
): Promise<Forwarding> {
  const address = (port: number): Buffer => new WireWriter().string(spec.bind.host).u32(port).finish()
  const answer = await connection.request('tcpip-forward', address(spec.bind.port))
  if (answer === undefined) {
    throw problem('access_denied', `the host refused to listen on port ${spec.bind.port}`, {
      hint: 'your role, the certificate or its sshd may forbid it, or the port is taken',
    })
  }
  const port = spec.bind.port === 0 ? new WireReader(answer).u32() : spec.bind.port
  const remove = router.add('forwarded-tcpip', open => {
    const reader = new WireReader(open.data)
    reader.string()
    if (reader.u32() !== port || !spec.target) return false
    joinForwarded(open, spec.target, onProblem)
    return true
  })
  return {
    port,
    close() {
      remove()
      void connection.request('cancel-tcpip-forward', address(port), false)
    },
  }
}

export interface Forwardings {
  local: readonly ForwardSpec[]
  remote: readonly ForwardSpec[]
  dynamic: readonly ForwardSpec[]
}

/** Reads the flags before anything is connected. @throws invalid_input */
export const readForwardings = (
  flags: Partial<Record<keyof Forwardings, readonly string[] | undefined>>,
): Forwardings => ({
  local: (flags.local ?? []).map(parseForward),
  remote: (flags.remote ?? []).map(parseForward),
  dynamic: (flags.dynamic ?? []).map(parseDynamicForward),
})

/** Opens all of them, or none: one that cannot be had closes the others. Returns what closes them. */
export async function openForwardings(
  wanted: Forwardings,
  {
    connection,
    router,
    notice,
  }: {connection: SshConnection; router: ChannelRouter; notice(line: string): void},
): Promise<() => void> {
  const options = {
    connection,
    onProblem: (error: unknown) => notice(`sallyport: forwarding: ${problemLine(asProblem(error))}`),
  }
  const open: Forwarding[] = []
  const close = (): void => {
    for (const forwarding of open.splice(0)) forwarding.close()
  }
  try {
    for (const spec of wanted.local) open.push(await forwardLocal(spec, options))
    for (const spec of wanted.dynamic) open.push(await forwardDynamic(spec, options))
    for (const spec of wanted.remote) {
      const forwarding = await forwardRemote(spec, options, router)
      if (spec.bind.port === 0) notice(`Allocated port ${forwarding.port} on the host`)
      open.push(forwarding)
    }
  } catch (error) {
    close()
    throw error
  }
  return close
}

function listen(spec: ForwardSpec, serve: (socket: Socket) => void): Promise<Forwarding> {
  const sockets = new Set<Socket>()
  const server: Server = createServer({allowHalfOpen: true, noDelay: true}, socket => {
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket))
    socket.on('error', () => socket.destroy())
    serve(socket)
  })
  return new Promise((resolve, reject) => {
    server.once('error', cause =>
      reject(
        problem('unavailable', `port ${spec.bind.port} cannot be listened on: ${cause.message}`, {cause}),
      ),
    )
    server.listen(spec.bind.port, spec.bind.host, () => {
      const address = server.address()
      const port = typeof address === 'object' && address ? address.port : spec.bind.port
      resolve({
        port,
        close() {
          server.close()
          for (const socket of sockets) socket.destroy()
        },
      })
    })
  })
}

async function joinDirect(
  socket: Socket,
  target: Address,
  {connection, onProblem}: ForwardingOptions,
  answer?: (opened: boolean) => void,
): Promise<void> {
  const originator = new WireWriter().string(socket.remoteAddress ?? '127.0.0.1').u32(socket.remotePort ?? 0)
  const data = new WireWriter().string(target.host).u32(target.port).raw(originator.finish()).finish()
  try {
    const channel = await connection.openChannel('direct-tcpip', data)
    answer?.(true)
    join(channel, socket)
  } catch (error) {
    onProblem(refusalOf(error))
    answer?.(false)
    socket.end()
  }
}

function joinForwarded(open: ChannelOpen, target: Address, onProblem: (error: unknown) => void): void {
  const socket = tcpConnect({...target, noDelay: true, allowHalfOpen: true})
  socket.once('error', error => {
    onProblem(error)
    open.reject(openFailure.connectFailed, 'nobody listens at the other end of this forwarding')
  })
  socket.once('connect', () => join(open.accept(), socket))
}

/** Passes bytes both ways; each end closes when the other has. */
export function join(channel: Channel, socket: Socket): void {
  channel.stderr.resume()
  socket.on('error', () => channel.close())
  socket.on('close', () => channel.close())
  channel.onClosed = () => socket.end()
  channel.pipe(socket)
  socket.pipe(channel)
}
