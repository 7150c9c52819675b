import type {AuditInput} from '../audit/event.js'
import {asProblem, problem, problemLine} from '../errors/index.js'
import {type Channel, type ChannelOpen, ChannelRefused, openFailure} from '../ssh/index.js'
import {WireReader} from '../sshcert/index.js'
import {joinChannels} from './relay.js'
import type {TargetLink} from './target-link.js'

export interface PortOptions {
  allowed: boolean
  link: TargetLink
  emit(input: AuditInput): Promise<unknown>
}

/** direct-tcpip and direct-streamlocal (RFC 4254 §7.2, PROTOCOL §2.4): a port seen from the target. */
export async function forwardPort(open: ChannelOpen, {allowed, link, emit}: PortOptions): Promise<void> {
  const event = {event: 'port', fields: {addr: portAddress(open.data)}} as const
  if (!allowed) {
    const refusal = problem('access_denied', 'the role or the certificate does not permit port forwarding')
    await emit({...event, success: false, error: refusal.message})
    return rejectOpen(open, refusal)
  }
  await joinOpened(open, async () => {
    try {
      const {connection, address} = await link.reach()
      const channel = await connection.openChannel(open.type, open.data)
      await emit({...event, server_addr: address})
      return channel
    } catch (error) {
      await emit({...event, success: false, error: reasonOf(error)})
      throw error
    }
  })
}

/** Opens the other half first, so that its refusal is the answer, then joins the two until both have ended. */
export async function joinOpened(open: ChannelOpen, openOther: () => Promise<Channel>): Promise<void> {
  let other: Channel
  try {
    other = await openOther()
  } catch (error) {
    return rejectOpen(open, error)
  }
  await joinChannels(open.accept(), other)
}

/** Refuses a channel with the peer's own reason, or with the line a person would read. */
export function rejectOpen(open: ChannelOpen, error: unknown): void {
  const reason = error instanceof ChannelRefused ? error.reason : openFailure.connectFailed
  open.reject(reason, reasonOf(error))
}

const reasonOf = (error: unknown): string =>
  error instanceof ChannelRefused ? error.message : problemLine(asProblem(error))

/** `host:port` of a direct-tcpip channel, or the path of a direct-streamlocal one. */
function portAddress(data: Buffer): string {
  const reader = new WireReader(data)
  const host = reader.string().toString('utf8').slice(0, 255)
  return reader.remaining() >= 12 ? `${host}:${reader.u32()}` : host
}
