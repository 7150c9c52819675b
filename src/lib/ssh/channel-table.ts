import {problem} from '../errors/index.js'
import {type WireReader, WireWriter} from '../sshcert/index.js'
import {Channel, type ChannelLink} from './channel.js'
import {fairTurns} from './fair-turns.js'
import {message, openFailure} from './messages.js'
import {peerText} from './peer-text.js'
import type {Transport} from './transport.js'
import {maxPacketSize, windowSize} from './window.js'

/** A peer with tiny packets would turn each keystroke into a storm of messages. */
const minPeerPacket = 256
const maxDescription = 1024

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

/** All channels of one connection (RFC 4254 §5). */
export interface ChannelTable {
  open(type: string, extra: Buffer): Promise<Channel>
  /** A message from CHANNEL_OPEN up; the reader stands behind its type. */
  receive(type: number, reader: WireReader): void
  drained(): void
  ended(reason: Error): void
}

export interface ChannelTableOptions {
  transport: Transport
  maxChannels: number
  /** Looked up anew with each channel the peer opens. */
  onOpen: () => ((open: ChannelOpen) => void) | undefined
}

export function channelTable({transport, maxChannels, onOpen}: ChannelTableOptions): ChannelTable {
  const channels = new Map<number, Channel>()
  const opening = new Map<number, PendingOpen>()
  const turns = fairTurns(() => transport.congested())
  /** Opened by the peer, neither accepted nor refused yet. */
  let undecided = 0
  let nextId = 0
  let over = false

  const link: ChannelLink = {
    send: payload => transport.send(payload),
    sendFilled: (length, fill) => transport.sendFilled(length, fill),
    ready: turns.ready,
    release(id) {
      const channel = channels.get(id)
      if (channel) turns.leave(channel)
      channels.delete(id)
    },
  }
  const freeId = (): number => {
    do nextId = (nextId + 1) >>> 0
    while (channels.has(nextId) || opening.has(nextId))
    return nextId
  }
  const add = (type: string, localId: number, remote: RemoteEnd): Channel => {
    const channel = new Channel(link, {type, localId, ...remote})
    channels.set(localId, channel)
    return channel
  }
  const find = (id: number): Channel => {
    const channel = channels.get(id)
    if (!channel) throw problem('protocol_error', 'the peer sent a message for a channel that is not open')
    return channel
  }
  const takeOpening = (id: number): PendingOpen => {
    const pending = opening.get(id)
    if (!pending) throw problem('protocol_error', 'the peer answered for a channel nobody asked for')
    opening.delete(id)
    return pending
  }

  /** Each open is decided once, and not any more when the connection has ended. */
  const peerOpen = (type: string, remote: RemoteEnd, data: Buffer): ChannelOpen => {
    let decided = false
    undecided++
    const decide = (): boolean => {
      if (decided || over) return false
      decided = true
      undecided--
      return true
    }
    return {
      ...{type, data},
      accept() {
        if (!decide()) throw problem('protocol_error', 'the channel cannot be opened any more')
        const localId = freeId()
        const channel = add(type, localId, remote)
        transport.send(confirmation(remote.remoteId, localId))
        return channel
      },
      reject(reason, description) {
        if (decide()) transport.send(refusal(remote.remoteId, reason, description))
      },
    }
  }
  const receiveOpen = (reader: WireReader): void => {
    const type = reader.string().toString('latin1')
    const remote = readRemoteEnd(reader)
    const open = peerOpen(type, remote, Buffer.from(reader.rest()))
    const handler = onOpen()
    if (channels.size + undecided > maxChannels)
      open.reject(openFailure.resourceShortage, 'too many channels')
    else if (handler) handler(open)
    else open.reject(openFailure.administrativelyProhibited, 'no channels here')
  }
  const receiveConfirmation = (reader: WireReader): void => {
    const localId = reader.u32()
    const remote = readRemoteEnd(reader)
    const pending = takeOpening(localId)
    pending.resolve(add(pending.type, localId, remote))
    // What the peer sends right behind has to find the handlers that the opener is about to set.
    transport.holdTurn()
  }
  const receiveRefusal = (reader: WireReader): void => {
    const [localId, reason, description] = [reader.u32(), reader.u32(), reader.string()]
    const text = peerText(description.toString('utf8'), maxDescription)
    takeOpening(localId).reject(new ChannelRefused(reason, text))
  }

  return {
    open(type, extra) {
      const id = freeId()
      return new Promise((resolve, reject) => {
        opening.set(id, {type, resolve, reject})
        const open = new WireWriter().u8(message.channelOpen).string(type).u32(id)
        transport.send(open.u32(windowSize).u32(maxPacketSize).raw(extra).finish())
      })
    },
    receive(type, reader) {
      if (type === message.channelOpen) return receiveOpen(reader)
      if (type === message.channelOpenConfirmation) return receiveConfirmation(reader)
      if (type === message.channelOpenFailure) return receiveRefusal(reader)
      if (type === message.channelWindowAdjust) {
        const [id, bytes] = [reader.u32(), reader.u32()]
        // It may cross our CLOSE; OpenSSH lets it pass as well, and nothing else.
        channels.get(id)?.receiveWindow(bytes)
        return
      }
      dispatch(find(reader.u32()), type, reader)
    },
    drained: turns.run,
    ended(reason) {
      over = true
      for (const pending of opening.values()) pending.reject(reason)
      opening.clear()
      for (const channel of channels.values()) channel.abandon()
    },
  }
}

function dispatch(channel: Channel, type: number, reader: WireReader): void {
  switch (type) {
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

function readRemoteEnd(reader: WireReader): RemoteEnd {
  const [remoteId, remoteWindow, maxPacket] = [reader.u32(), reader.u32(), reader.u32()]
  if (maxPacket < minPeerPacket) throw problem('protocol_error', 'the peer announced an unusable packet size')
  return {remoteId, remoteWindow, remoteMaxPacket: Math.min(maxPacket, maxPacketSize)}
}

const confirmation = (remoteId: number, localId: number): Buffer =>
  new WireWriter()
    .u8(message.channelOpenConfirmation)
    .u32(remoteId)
    .u32(localId)
    .u32(windowSize)
    .u32(maxPacketSize)
    .finish()

const refusal = (remoteId: number, reason: number, description: string): Buffer =>
  new WireWriter()
    .u8(message.channelOpenFailure)
    .u32(remoteId)
    .u32(reason)
    .string(description.slice(0, maxDescription))
    .string('')
    .finish()
