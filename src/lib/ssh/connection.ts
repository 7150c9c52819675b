import {problem, type SallyportError} from '../errors/index.js'
import {WireReader} from '../sshcert/index.js'
import type {Channel} from './channel.js'
import type {ChannelOpen} from './channel-opens.js'
import {type ChannelTable, channelTable} from './channel-table.js'
import {type GlobalRequestHandler, type GlobalRequests, globalRequests} from './global-requests.js'
import {type KeepAlive, startKeepAlive} from './keep-alive.js'
import {message} from './messages.js'
import type {Transport} from './transport.js'

/** Channels a peer may have open at once; sessions have a lower limit of their own. */
const defaultMaxChannels = 256

export interface ConnectionOptions {
  maxChannels?: number
  /** Ping after this long without traffic; the third unanswered ping ends the connection. 0: never. */
  keepAliveMilliseconds?: number
}

/** An authenticated SSH connection (RFC 4254): channels and global requests, the same on both sides. */
export interface SshConnection {
  /** Opens a channel. @throws ChannelRefused, protocol_error when the connection ends first */
  openChannel(type: string, extra?: Buffer): Promise<Channel>
  /** Sends a global request; resolves to undefined when it is refused or the connection ends. */
  request(type: string, data?: Buffer, wantReply?: boolean): Promise<Buffer | undefined>
  /** Set before the peer can use it; without it channels are refused. */
  onChannelOpen: ((open: ChannelOpen) => void) | undefined
  /** Without it, and when it throws, global requests are refused. */
  onGlobalRequest: GlobalRequestHandler | undefined
  /** Resolves when the connection has ended, to the error it ended with or to undefined. Never rejects. */
  closed: Promise<SallyportError | undefined>
  /** Ends it in good order; what was sent before goes out first. */
  disconnect(reason?: number): void
  /** Ends it with this error. A client of ours as a server is told the error, unless it is an internal one. */
  fail(error: SallyportError): void
  remoteIdent(): string
  sessionId(): Buffer
}

/** The connection together with what its transport has to tell it. */
export interface ConnectionCore extends SshConnection {
  receive(payload: Buffer): void
  drained(): void
  ended(error: SallyportError | undefined): void
}

export function createConnection(transport: Transport, options: ConnectionOptions = {}): ConnectionCore {
  let over: {error: SallyportError | undefined} | undefined
  const {promise: closed, resolve: settleClosed} = deferred<SallyportError | undefined>()
  const requests = globalRequests(
    payload => transport.send(payload),
    () => connection.onGlobalRequest,
  )
  const channels = channelTable({
    transport,
    maxChannels: options.maxChannels ?? defaultMaxChannels,
    onOpen: () => connection.onChannelOpen,
  })
  const keepAlive = startKeepAlive(options.keepAliveMilliseconds ?? 0, {
    ping: () => void connection.request('keepalive@openssh.com'),
    lost: () => transport.fail(problem('timeout', 'the peer stopped answering')),
  })
  const connection: ConnectionCore = {
    onChannelOpen: undefined,
    onGlobalRequest: undefined,
    closed,
    remoteIdent: () => transport.remoteIdent(),
    sessionId: () => transport.sessionId(),
    disconnect: reason => transport.disconnect(reason),
    fail: error => transport.fail(error),
    openChannel(type, extra = Buffer.alloc(0)) {
      return over ? Promise.reject(over.error ?? hasEnded()) : channels.open(type, extra)
    },
    request(type, data = Buffer.alloc(0), wantReply = true) {
      return over ? Promise.resolve(undefined) : requests.request(type, data, wantReply)
    },
    receive: receiver(channels, requests, keepAlive),
    drained: () => channels.drained(),
    ended(error) {
      if (over) return
      over = {error}
      keepAlive.stop()
      channels.ended(error ?? hasEnded())
      requests.ended()
      settleClosed(error)
    },
  }
  return connection
}

function receiver(
  channels: ChannelTable,
  requests: GlobalRequests,
  keepAlive: KeepAlive,
): (payload: Buffer) => void {
  return payload => {
    keepAlive.heard()
    const type = payload[0] ?? 0
    const reader = new WireReader(payload.subarray(1))
    if (type >= message.channelOpen && type <= message.channelFailure) return channels.receive(type, reader)
    switch (type) {
      case message.globalRequest:
        return requests.receiveRequest(reader)
      case message.requestSuccess:
        return requests.receiveAnswer(Buffer.from(reader.rest()))
      case message.requestFailure:
        return requests.receiveAnswer(undefined)
      // These may still come after authentication (RFC 8308 §2.4, RFC 4252 §5.1); nothing else may.
      case message.extInfo:
      case message.userauthRequest:
        return
      default:
        throw problem('protocol_error', `the peer sent a message of the unknown type ${type}`)
    }
  }
}

const hasEnded = (): SallyportError => problem('protocol_error', 'the connection has ended')

function deferred<Value>(): {promise: Promise<Value>; resolve: (value: Value) => void} {
  let resolve: (value: Value) => void = () => undefined
  const promise = new Promise<Value>(settle => {
    resolve = settle
  })
  return {promise, resolve}
}
