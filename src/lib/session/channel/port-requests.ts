import type {AuditInput} from '../../audit/event.js'
import {asProblem, problem, problemLine, type SallyportError} from '../../errors/index.js'
import {type ChannelOpen, ChannelRefused, openFailure} from '../../ssh/index.js'
import {WireReader} from '../../sshcert/index.js'

/** Requests that make or unmake a port of the host which leads back to the client (RFC 4254 §7.1, PROTOCOL §2.4). */
export const remotePortRequests: ReadonlySet<string> = new Set([
  'tcpip-forward',
  'cancel-tcpip-forward',
  'streamlocal-forward@openssh.com',
  'cancel-streamlocal-forward@openssh.com',
])

export const portsNotPermitted = (): SallyportError =>
  problem('access_denied', 'the role or the certificate does not permit port forwarding')

/** Does what a port event is about; a failure is on record before anybody hears of it. */
export async function auditedPort<Result>(
  emit: (input: AuditInput) => Promise<unknown>,
  event: Pick<AuditInput, 'event' | 'fields'>,
  action: () => Promise<Result>,
): Promise<Result> {
  try {
    return await action()
  } catch (error) {
    await emit({...event, success: false, error: refusalReason(error)})
    throw error
  }
}

/** Refuses a channel with the peer's own reason, or with the line a person would read. */
export function rejectOpen(open: ChannelOpen, error: unknown): void {
  const reason = error instanceof ChannelRefused ? error.reason : openFailure.connectFailed
  open.reject(reason, refusalReason(error))
}

const refusalReason = (error: unknown): string =>
  error instanceof ChannelRefused ? error.message : problemLine(asProblem(error))

/** `host:port` of a direct-tcpip channel, or the path of a direct-streamlocal one. */
export function channelAddress(data: Buffer): string {
  const reader = new WireReader(data)
  const host = readName(reader)
  return reader.remaining() >= 12 ? `${host}:${reader.u32()}` : host
}

/** `host:port` that a host listens at, or the path of its socket. */
export function listenAddress(type: string, data: Buffer): string {
  const reader = new WireReader(data)
  const host = readName(reader)
  return type.includes('tcpip') ? `${host}:${reader.u32()}` : host
}

const readName = (reader: WireReader): string => reader.string().toString('utf8').slice(0, 255)
