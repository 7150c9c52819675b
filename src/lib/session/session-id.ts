import {isUuid} from '../names/index.js'
import type {Channel, SshConnection} from '../ssh/index.js'

/**
 * Global request of a forwarder: "will you tell me the ID of the session that I opened, and leave its record to me?" No
 * data; success means yes, and the ID follows on the session's channel.
 */
export const sessionIdQuery = 'session-id-query-v2@goteleport.com'

/** Channel request of a server without reply: the ID of this session, as plain text without a length. */
const currentSessionId = 'current-session-id@goteleport.com'

/** A host that promised an ID has sent it already, unless something is wrong with it. */
const patienceMilliseconds = 2000

/** A session at the host, and the ID by which both ends know it. */
export interface HostSession {
  channel: Channel
  sid: string
}

export const tellSessionId = (channel: Channel, sid: string): void =>
  void channel.request(currentSessionId, Buffer.from(sid), false)

/**
 * Opens a session at a host and settles its ID: the host's where the host says that it shares it, else `own`. Whatever
 * comes on the channel besides before somebody listens is refused.
 * @throws ChannelRefused, protocol_error
 */
export async function openHostSession(
  connection: SshConnection,
  own: string,
  patience = patienceMilliseconds,
): Promise<HostSession> {
  const opening = connection.openChannel('session')
  // Asked in the same breath: it is answered after the session is open, and costs no turn of its own.
  const answering = connection.request(sessionIdQuery)
  const channel = await opening
  const told = listenForSessionId(channel, patience)
  const shares = (await answering) !== undefined
  const sid = (shares && (await told.sid)) || own
  told.stop()
  return {channel, sid}
}

/** The first valid ID that comes, or undefined. */
function listenForSessionId(
  channel: Channel,
  patience: number,
): {sid: Promise<string | undefined>; stop(): void} {
  let settle: (sid?: string) => void = () => undefined
  const sid = new Promise<string | undefined>(resolve => {
    settle = resolve
  })
  const timer = setTimeout(() => settle(), patience)
  channel.onRequest = ({type, data, reply}) => {
    const text = data.toString('latin1')
    if (type === currentSessionId && isUuid(text)) settle(text)
    reply(false)
  }
  if (channel.isClosed) settle()
  else channel.onClosed = () => settle()
  return {
    sid,
    stop() {
      clearTimeout(timer)
      channel.onClosed = undefined
    },
  }
}
