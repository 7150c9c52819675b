import type {AuditInput} from '../audit/event.js'
import {problem} from '../errors/index.js'
import {
  auditedPort,
  channelAddress,
  joinChannels,
  listenAddress,
  portsNotPermitted,
  rejectOpen,
} from '../session/index.js'
import type {Channel, ChannelOpen, GlobalAnswer, GlobalRequest} from '../ssh/index.js'
import type {TargetConnection} from './target.js'

export interface PortOptions {
  allowed: boolean
  reach(): Promise<TargetConnection>
  emit(input: AuditInput): Promise<unknown>
  /** Bytes passed, either way. */
  onActivity(): void
}

/** direct-tcpip and direct-streamlocal (RFC 4254 §7.2, PROTOCOL §2.4): a port seen from the target. */
export async function forwardPort(open: ChannelOpen, options: PortOptions): Promise<void> {
  const {allowed, reach, emit, onActivity} = options
  const openAtTarget = async (): Promise<Channel> => {
    const event = {event: 'port', fields: {addr: channelAddress(open.data)}} as const
    const {channel, address} = await auditedPort(emit, event, async () => {
      if (!allowed) throw portsNotPermitted()
      const {connection, address} = await reach()
      return {channel: await connection.openChannel(open.type, open.data), address}
    })
    try {
      await emit({...event, server_addr: address})
      return channel
    } catch (error) {
      channel.close()
      throw error
    }
  }
  await joinOpened(open, openAtTarget, onActivity)
}

/** A port of the target that leads back to the client: passed on when permitted, and put on record. */
export async function forwardRemotePort(
  {type, data, wantReply}: GlobalRequest,
  {allowed, reach, emit}: PortOptions,
): Promise<GlobalAnswer> {
  const event = {event: 'port', fields: {addr: listenAddress(type, data), remote: true}} as const
  const cancels = type.startsWith('cancel-')
  const {answer, address} = await auditedPort(emit, event, async () => {
    if (!allowed) throw portsNotPermitted()
    const {connection, address} = await reach()
    const answer = await connection.request(type, data, wantReply)
    if (wantReply && !answer && !cancels) throw problem('target_refused', 'the host refused to listen there')
    return {answer, address}
  })
  if (!cancels) await emit({...event, server_addr: address})
  return answer ?? false
}

/** Opens the other half first, so that its refusal is the answer, then joins the two until both have ended. */
export async function joinOpened(
  open: ChannelOpen,
  openOther: () => Promise<Channel>,
  onActivity: () => void,
): Promise<void> {
  let other: Channel
  try {
    other = await openOther()
  } catch (error) {
    return rejectOpen(open, error)
  }
  let channel: Channel
  try {
    channel = open.accept()
  } catch (error) {
    // Whoever asked has gone.
    other.close()
    throw error
  }
  await joinChannels(channel, other, onActivity)
}
