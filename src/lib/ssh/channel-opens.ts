import {problem} from '../errors/index.js'
import {type WireReader, WireWriter} from '../sshcert/index.js'
import type {Channel} from './channel.js'
import {message, openFailure} from './messages.js'
import {peerText} from './peer-text.js'
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
  /**
   * @param answer type-specific data of the confirmation (RFC 4254 §5.1); whoever expects none passes over it
   * @throws protocol_error when the connection has ended, or the open was decided before
   */
  accept(answer?: Buffer): Channel
  reject(reason: number, description: string): void
}

/** What a peer says about its end of a channel. */
export interface RemoteEnd {
  remoteId: number
  remoteWindow: number
  remoteMaxPacket: number
}

interface PendingOpen {
  type: string
  resolve(channel: Channel): void
  reject(error: Error): void
}

/** Channels that we have asked for (RFC 4254 §5.1). */
export interface OwnOpens {
  has(localId: number): boolean
  open(type: string, localId: number, extra: Buffer): Promise<Channel>
  /** @throws protocol_error when nobody asked */
  receiveConfirmation(reader: WireReader): void
  receiveRefusal(reader: WireReader): void
  /** Nobody will answer any more. */
  ended(reason: Error): void
}

export function ownOpens(
  send: (payload: Buffer) => void,
  add: (type: string, localId: number, remote: RemoteEnd) => Channel,
): OwnOpens {
  const waiting = new Map<number, PendingOpen>()
  const take = (id: number): PendingOpen => {
    const pending = waiting.get(id)
    if (!pending) throw problem('protocol_error', 'the peer answered for a channel nobody asked for')
    waiting.delete(id)
    return pending
  }
  return {
    has: id => waiting.has(id),
    open: (type, localId, extra) =>
      new Promise((resolve, reject) => {
        waiting.set(localId, {type, resolve, reject})
        const open = new WireWriter().u8(message.channelOpen).string(type).u32(localId)
        send(open.u32(windowSize).u32(maxPacketSize).raw(extra).finish())
      }),
    receiveConfirmation(reader) {
      const localId = reader.u32()
      const remote = readRemoteEnd(reader)
      const {type, resolve} = take(localId)
      const channel = add(type, localId, remote)
      channel.answer = Buffer.from(reader.rest())
      resolve(channel)
    },
    receiveRefusal(reader) {
      const [localId, reason, description] = [reader.u32(), reader.u32(), reader.string()]
      const text = peerText(description.toString('utf8'), maxDescription)
      take(localId).reject(new ChannelRefused(reason, text))
    },
    ended(reason) {
      for (const pending of waiting.values()) pending.reject(reason)
      waiting.clear()
    },
  }
}

export interface PeerOpensOptions {
  send(payload: Buffer): void
  /** Makes a channel under a free number; the number is part of the answer. */
  accept(type: string, remote: RemoteEnd): {channel: Channel; localId: number}
  /** Whether there may be one more channel beside those that are still undecided. */
  hasRoom(undecided: number): boolean
  /** Looked up anew with each open. */
  handler(): ((open: ChannelOpen) => void) | undefined
}

/** Channels that the peer asks for. Each is decided once, and not any more when the connection has ended. */
export interface PeerOpens {
  receive(reader: WireReader): void
  ended(): void
}

export function peerOpens({send, accept, hasRoom, handler}: PeerOpensOptions): PeerOpens {
  let undecided = 0
  let over = false

  const undecidedOpen = (type: string, remote: RemoteEnd, data: Buffer): ChannelOpen => {
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
      accept(answer) {
        if (!decide()) throw problem('protocol_error', 'the channel cannot be opened any more')
        const {channel, localId} = accept(type, remote)
        send(confirmation(remote.remoteId, localId, answer))
        return channel
      },
      reject(reason, description) {
        if (decide()) send(refusal(remote.remoteId, reason, description))
      },
    }
  }
  return {
    receive(reader) {
      const type = reader.string().toString('latin1')
      const remote = readRemoteEnd(reader)
      const open = undecidedOpen(type, remote, Buffer.from(reader.rest()))
      const handle = handler()
      if (!hasRoom(undecided - 1)) open.reject(openFailure.resourceShortage, 'too many channels')
      else if (handle) handle(open)
      else open.reject(openFailure.administrativelyProhibited, 'no channels here')
    },
    ended() {
      over = true
    },
  }
}

function readRemoteEnd(reader: WireReader): RemoteEnd {
  const [remoteId, remoteWindow, maxPacket] = [reader.u32(), reader.u32(), reader.u32()]
  if (maxPacket < minPeerPacket) throw problem('protocol_error', 'the peer announced an unusable packet size')
  return {remoteId, remoteWindow, remoteMaxPacket: Math.min(maxPacket, maxPacketSize)}
}

const confirmation = (remoteId: number, localId: number, answer: Buffer = Buffer.alloc(0)): Buffer =>
  new WireWriter()
    .u8(message.channelOpenConfirmation)
    .u32(remoteId)
    .u32(localId)
    .u32(windowSize)
    .u32(maxPacketSize)
    .raw(answer)
    .finish()

const refusal = (remoteId: number, reason: number, description: string): Buffer =>
  new WireWriter()
    .u8(message.channelOpenFailure)
    .u32(remoteId)
    .u32(reason)
    .string(description.slice(0, maxDescription))
    .string('')
    .finish()
