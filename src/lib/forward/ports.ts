import type {AuditInput} from '../audit/event.js'
import {asProblem, problem, problemLine, type SallyportError} from '../errors/index.js'
import {joinChannels} from '../session/index.js'
import {
  type Channel,
  type ChannelOpen,
  ChannelRefused,
  type GlobalAnswer,
  type GlobalRequest,
  openFailure,
} from '../ssh/index.js'
import {WireReader} from '../sshcert/index.js'
import type {TargetConnection} from './target.js'

export interface PortOptions {
  allowed: boolean
  reach(): Promise<TargetConnection>
  emit(input: AuditInput): Promise<unknown>
  /** Bytes passed, either way. */
  onActivity(): void
}

const notPermitted = (): SallyportError =>
  problem('access_denied', 'the role or the certificate does not permit port forwarding')

/** direct-tcpip and direct-streamlocal (RFC 4254 §7.2, PROTOCOL §2.4): a port seen from the target. */
export async function forwardPort(open: ChannelOpen, options: PortOptions): Promise<void> {
  const {allowed, reach, emit, onActivity} = options
  const openAtTarget = async (): Promise<Channel> => {
    const event = {event: 'port', fields: {addr: channelAddress(open.data)}} as const
    const {channel, address} = await audited(emit, event, async () => {
      if (!allowed) throw notPermitted()
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

/** Requests that make or unmake a port of the target which leads back to the client (RFC 4254 §7.1). */
export const remotePortRequests: ReadonlySet<string> = new Set([
  'tcpip-forward',
  'cancel-tcpip-forward',
  'streamlocal-forward@openssh.com',
  'cancel-streamlocal-forward@openssh.com',
])

/** A port of the target that leads back to the client: passed on when permitted, and put on record. */
export async function forwardRemotePort(
  {type, data, wantReply}: GlobalRequest,
  {allowed, reach, emit}: PortOptions,
): Promise<GlobalAnswer> {
  const event = {event: 'port', fields: {addr: listenAddress(type, data), remote: true}} as const
  const cancels = type.startsWith('cancel-')
  const {answer, address} = await audited(emit, event, async () => {
    if (!allowed) throw notPermitted()
    const {connection, address} = await reach()
    const answer = await connection.request(type, data, wantReply)
    if (wantReply && !answer && !cancels) throw problem('target_refused', 'the host refused to listen there')
    return {answer, address}
  })
  if (!cancels) await emit({...event, server_addr: address})
  return answer ?? false
}

async function audited<Result>(
  emit: PortOptions['emit'],
  event: Pick<AuditInput, 'event' | 'fields'>,
  action: () => Promise<Result>,
): Promise<Result> {
  try {
    return await action()
  } catch (error) {
    await emit({...event, success: false, error: reasonOf(error)})
    throw error
  }
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

/** Refuses a channel with the peer's own reason, or with the line a person would read. */
export function rejectOpen(open: ChannelOpen, error: unknown): void {
  const reason = error instanceof ChannelRefused ? error.reason : openFailure.connectFailed
  open.reject(reason, reasonOf(error))
}

const reasonOf = (error: unknown): string =>
  error instanceof ChannelRefused ? error.message : problemLine(asProblem(error))

/** `host:port` of a direct-tcpip channel, or the path of a direct-streamlocal one. */
function channelAddress(data: Buffer): string {
  const reader = new WireReader(data)
  const host = readName(reader)
  return reader.remaining() >= 12 ? `${host}:${reader.u32()}` : host
}

/** `host:port` that a target listens at, or the path of its socket. */
function listenAddress(type: string, data: Buffer): string {
  const reader = new WireReader(data)
  const host = readName(reader)
  return type.includes('tcpip') ? `${host}:${reader.u32()}` : host
}

const readName = (reader: WireReader): string => reader.string().toString('utf8').slice(0, 255)
