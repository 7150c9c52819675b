import {problem, type SallyportError} from '../errors/index.js'
import {WireReader, WireWriter} from '../sshcert/index.js'
import {Channel, maxPacketSize, windowSize} from './channel.js'
import {disconnectReason, message, openFailure} from './messages.js'
import {orderedReplies} from './ordered-replies.js'
import type {Transport} from './transport.js'

/** Channels a peer may have open at once; sessions have a lower limit of their own. */
const defaultMaxChannels = 256
const maxPendingGlobalRequests = 64
const minPeerPacket = 256

/** Why a peer would not open a channel. */
export class ChannelRefused extends Error {
  override readonly name = 'ChannelRefused'
  constructor(
    readonly reason: number,
    readonly description: string,
  ) {
    super(description || `channel refused (${reason})`)
  }
}

export interface ChannelOpen {
  type: string
  /** Type-specific data, a copy. */
  data: Buffer
  accept(): Channel
  reject(reason: number, description: string): void
}

export interface GlobalRequest {
  type: string
  data: Buffer
  wantReply: boolean
}

/** false refuses, true accepts, a Buffer accepts with data. */
export type GlobalAnswer = boolean | Buffer

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
  /** Without it global requests are refused. */
  onGlobalRequest: ((request: GlobalRequest) => GlobalAnswer | Promise<GlobalAnswer>) | undefined
  /** Resolves when the connection has ended, to the error it ended with or to undefined. Never rejects. */
  closed: Promise<SallyportError | undefined>
  disconnect(reason?: number): void
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

interface PendingOpen {
  type: string
  resolve(channel: Channel): void
  reject(error: Error): void
}

interface RemoteEnd {
  remoteId: number
  remoteWindow: number
  remoteMaxPacket: number
}

function readRemoteEnd(reader: WireReader): RemoteEnd {
  const [remoteId, remoteWindow, maxPacket] = [reader.u32(), reader.u32(), reader.u32()]
  // A peer with tiny packets would turn each keystroke into a storm of messages.
  if (maxPacket < minPeerPacket) throw problem('protocol_error', 'the peer announced an unusable packet size')
  return {remoteId, remoteWindow, remoteMaxPacket: Math.min(maxPacket, maxPacketSize)}
}

export function createConnection(transport: Transport, options: ConnectionOptions = {}): ConnectionCore {
  const channels = new Map<number, Channel>()
  const opening = new Map<number, PendingOpen>()
  const answers: ((answer: Buffer | undefined) => void)[] = []
  const replies = orderedReplies(maxPendingGlobalRequests)
  const maxChannels = options.maxChannels ?? defaultMaxChannels
  let nextId = 0
  let reserved = 0
  let over: SallyportError | undefined | null = null
  let settleClosed: (error: SallyportError | undefined) => void = () => undefined
  const closed = new Promise<SallyportError | undefined>(resolve => {
    settleClosed = resolve
  })
  const keepAlive = startKeepAlive(options.keepAliveMilliseconds ?? 0, {
    ping: () => void connection.request('keepalive@openssh.com'),
    lost: () => transport.fail(problem('timeout', 'the peer stopped answering')),
  })

  const link = {send: transport.send, release: (id: number): void => void channels.delete(id)}
  const freeId = (): number => {
    do nextId = (nextId + 1) >>> 0
    while (channels.has(nextId) || opening.has(nextId))
    return nextId
  }
  const addChannel = (type: string, localId: number, remote: RemoteEnd): Channel => {
    const channel = new Channel(link, {type, localId, ...remote})
    channels.set(localId, channel)
    return channel
  }

  const receiveOpen = (reader: WireReader): void => {
    const type = reader.string().toString('latin1')
    const remote = readRemoteEnd(reader)
    const data = Buffer.from(reader.rest())
    let decided = false
    const decide = (): boolean => {
      if (decided || over !== null) return false
      decided = true
      reserved--
      return true
    }
    const reject = (reason: number, description: string): void => {
      if (!decide()) return
      const text = description.slice(0, 1024)
      transport.send(
        new WireWriter()
          .u8(message.channelOpenFailure)
          .u32(remote.remoteId)
          .u32(reason)
          .string(text)
          .string('')
          .finish(),
      )
    }
    const accept = (): Channel => {
      if (!decide())
        throw problem('protocol_error', 'the connection ended before the channel could be opened')
      const localId = freeId()
      const channel = addChannel(type, localId, remote)
      transport.send(
        new WireWriter()
          .u8(message.channelOpenConfirmation)
          .u32(remote.remoteId)
          .u32(localId)
          .u32(windowSize)
          .u32(maxPacketSize)
          .finish(),
      )
      return channel
    }
    reserved++
    if (channels.size + reserved > maxChannels)
      return reject(openFailure.resourceShortage, 'too many channels')
    if (!connection.onChannelOpen) return reject(openFailure.administrativelyProhibited, 'no channels here')
    connection.onChannelOpen({type, data, accept, reject})
  }

  const receiveConfirmation = (reader: WireReader): void => {
    const localId = reader.u32()
    const pending = takeOpening(localId)
    pending.resolve(addChannel(pending.type, localId, readRemoteEnd(reader)))
  }
  const receiveRefusal = (reader: WireReader): void => {
    const pending = takeOpening(reader.u32())
    const reason = reader.u32()
    pending.reject(new ChannelRefused(reason, reader.string().toString('utf8').slice(0, 1024)))
  }
  const takeOpening = (id: number): PendingOpen => {
    const pending = opening.get(id)
    if (!pending) throw problem('protocol_error', 'the peer answered for a channel nobody asked for')
    opening.delete(id)
    return pending
  }

  const receiveGlobalRequest = (reader: WireReader): void => {
    const type = reader.string().toString('latin1')
    const wantReply = reader.bool()
    const data = Buffer.from(reader.rest())
    const settle = wantReply
      ? replies.expect<GlobalAnswer>(answer => {
          const payload = new WireWriter().u8(
            answer === false ? message.requestFailure : message.requestSuccess,
          )
          transport.send((Buffer.isBuffer(answer) ? payload.raw(answer) : payload).finish())
        })
      : () => undefined
    if (type === 'keepalive@openssh.com') return settle(true)
    Promise.resolve(connection.onGlobalRequest?.({type, data, wantReply}) ?? false).then(settle, () =>
      settle(false),
    )
  }

  const receiveChannelMessage = (type: number, reader: WireReader): void => {
    const channel = channels.get(reader.u32())
    // The peer may still send for a channel we have released after both closes; that is not an attack.
    if (!channel) return
    switch (type) {
      case message.channelWindowAdjust:
        return channel.receiveWindow(reader.u32())
      case message.channelData:
        return channel.receiveData(reader.string())
      case message.channelExtendedData: {
        const extendedType = reader.u32()
        return channel.receiveData(reader.string(), extendedType)
      }
      case message.channelEof:
        return channel.receiveEof()
      case message.channelClose:
        return channel.receiveClose()
      case message.channelRequest: {
        const name = reader.string().toString('latin1')
        const wantReply = reader.bool()
        return channel.receiveRequest(name, wantReply, Buffer.from(reader.rest()))
      }
      case message.channelSuccess:
        return channel.receiveAnswer(true)
      case message.channelFailure:
        return channel.receiveAnswer(false)
    }
  }

  const connection: ConnectionCore = {
    onChannelOpen: undefined,
    onGlobalRequest: undefined,
    closed,
    remoteIdent: transport.remoteIdent,
    sessionId: transport.sessionId,
    disconnect: transport.disconnect,
    fail: transport.fail,
    openChannel(type, extra = Buffer.alloc(0)) {
      if (over !== null) return Promise.reject(over ?? problem('protocol_error', 'the connection has ended'))
      const id = freeId()
      return new Promise((resolve, reject) => {
        opening.set(id, {type, resolve, reject})
        const open = new WireWriter()
          .u8(message.channelOpen)
          .string(type)
          .u32(id)
          .u32(windowSize)
          .u32(maxPacketSize)
        transport.send(open.raw(extra).finish())
      })
    },
    request(type, data = Buffer.alloc(0), wantReply = true) {
      if (over !== null) return Promise.resolve(undefined)
      const answer = wantReply
        ? new Promise<Buffer | undefined>(resolve => answers.push(resolve))
        : Promise.resolve(undefined)
      transport.send(
        new WireWriter().u8(message.globalRequest).string(type).bool(wantReply).raw(data).finish(),
      )
      return answer
    },
    receive(payload) {
      keepAlive.heard()
      const type = payload[0] ?? 0
      const reader = new WireReader(payload.subarray(1))
      switch (type) {
        case message.globalRequest:
          return receiveGlobalRequest(reader)
        case message.requestSuccess:
          return answers.shift()?.(Buffer.from(reader.rest()))
        case message.requestFailure:
          return answers.shift()?.(undefined)
        case message.channelOpen:
          return receiveOpen(reader)
        case message.channelOpenConfirmation:
          return receiveConfirmation(reader)
        case message.channelOpenFailure:
          return receiveRefusal(reader)
        default:
          if (type > message.channelOpenFailure && type <= message.channelFailure) {
            return receiveChannelMessage(type, reader)
          }
          // EXT_INFO may come again after authentication (RFC 8308 §2.4); nothing else may.
          if (type !== message.extInfo) transport.disconnect(disconnectReason.protocolError)
      }
    },
    drained() {
      for (const channel of channels.values()) channel.unblock()
    },
    ended(error) {
      if (over !== null) return
      over = error
      keepAlive.stop()
      const reason = error ?? problem('protocol_error', 'the connection has ended')
      for (const pending of opening.values()) pending.reject(reason)
      opening.clear()
      for (const channel of channels.values()) channel.abandon()
      for (const answer of answers.splice(0)) answer(undefined)
      settleClosed(error)
    },
  }
  return connection
}

const maxMissedPings = 3

function startKeepAlive(
  interval: number,
  {ping, lost}: {ping: () => void; lost: () => void},
): {heard: () => void; stop: () => void} {
  if (interval === 0) return {heard: () => undefined, stop: () => undefined}
  let missed = 0
  const timer = setInterval(() => {
    if (missed >= maxMissedPings) return lost()
    missed++
    ping()
  }, interval)
  timer.unref()
  const heard = (): void => {
    missed = 0
  }
  return {heard, stop: () => clearInterval(timer)}
}
