import {problem} from '../errors/index.js'
import type {WireReader} from '../sshcert/index.js'
import {Channel, type ChannelLink} from './channel.js'
import {type ChannelOpen, ownOpens, peerOpens, type RemoteEnd} from './channel-opens.js'
import {fairTurns} from './fair-turns.js'
import {message} from './messages.js'
import type {Transport} from './transport.js'

/** All channels of one connection (RFC 4254 §5). */
export interface ChannelTable {
  open(type: string, extra: Buffer): Promise<Channel>
  /** A message from CHANNEL_OPEN up; the reader stands behind its type. @throws protocol_error, limit_exceeded */
  receive(type: number, reader: WireReader): void
  /** The connection takes data again. */
  drained(): void
  ended(reason: Error): void
}

export interface ChannelTableOptions {
  transport: Transport
  /** Counts channels of both sides. */
  maxChannels: number
  /** Looked up anew with each channel the peer opens. */
  onOpen(): ((open: ChannelOpen) => void) | undefined
}

export function channelTable({transport, maxChannels, onOpen}: ChannelTableOptions): ChannelTable {
  const channels = new Map<number, Channel>()
  const turns = fairTurns(() => transport.congested())
  const send = (payload: Buffer): void => transport.send(payload)
  const link: ChannelLink = {
    send,
    sendFilled: (length, fill) => transport.sendFilled(length, fill),
    ready: turns.ready,
    release(id) {
      const channel = channels.get(id)
      if (channel) turns.leave(channel)
      channels.delete(id)
    },
  }
  const add = (type: string, localId: number, remote: RemoteEnd): Channel => {
    const channel = new Channel(link, {type, localId, ...remote})
    channels.set(localId, channel)
    return channel
  }
  const ours = ownOpens(send, add)
  const freeId = numbering(id => channels.has(id) || ours.has(id))
  const theirs = peerOpens({
    send,
    accept(type, remote) {
      const localId = freeId()
      return {channel: add(type, localId, remote), localId}
    },
    hasRoom: undecided => channels.size + undecided < maxChannels,
    handler: onOpen,
  })

  const receive = (type: number, reader: WireReader): void => {
    switch (type) {
      case message.channelOpen:
        return theirs.receive(reader)
      case message.channelOpenConfirmation:
        ours.receiveConfirmation(reader)
        // What the peer sends right behind has to find the handlers that the opener is about to set.
        return transport.holdTurn()
      case message.channelOpenFailure:
        return ours.receiveRefusal(reader)
      default:
        return dispatch(channels, type, reader)
    }
  }
  return {
    open: (type, extra) => ours.open(type, freeId(), extra),
    receive,
    drained: turns.run,
    ended(reason) {
      theirs.ended()
      ours.ended(reason)
      for (const channel of channels.values()) channel.abandon()
    },
  }
}

/** Numbers that are not in use, each as late as possible after its last use. */
function numbering(inUse: (id: number) => boolean): () => number {
  let last = 0
  return () => {
    do last = (last + 1) >>> 0
    while (inUse(last))
    return last
  }
}

function dispatch(channels: ReadonlyMap<number, Channel>, type: number, reader: WireReader): void {
  const channel = channels.get(reader.u32())
  if (type === message.channelWindowAdjust) {
    const bytes = reader.u32()
    // It may cross our CLOSE, so an unknown number is no offence; OpenSSH forgives this and nothing else, too.
    channel?.receiveWindow(bytes)
    return
  }
  if (!channel) throw problem('protocol_error', 'the peer sent a message for a channel that is not open')
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
