import {joinLogin} from '../../access/join-policies.js'
import {problem} from '../../errors/index.js'
import {connect, type PresentedHostKey, type SshConnection} from '../../ssh/index.js'
import {checkCertificate, hostRoleOf, WireReader, WireWriter} from '../../sshcert/index.js'
import type {Identity} from '../identity/identity.js'
import {gatherExplanation} from './target-connection.js'

/** The machine that holds a session. */
export interface Holder {
  /** Its UUID, by which it has to prove itself. */
  id: string
  /** For people. */
  name: string
}

const handshakeMilliseconds = 30_000

/** `session-holder@sallyport`: where a session runs that the proxy does not hold. @throws protocol_error */
export function readHolder(data: Buffer): Holder {
  const reader = new WireReader(data)
  const holder = {id: reader.text(), name: reader.text().replace(/\p{Cc}/gu, '?')}
  reader.end()
  return holder
}

/**
 * An SSH connection to the machine that holds a session, through the proxy, which knows the way and sees nothing of what
 * passes. The machine believes the user's certificate, and nobody's word.
 * @throws host_unreachable, unavailable, host_key_refused, access_denied, …: in the proxy's or the holder's own words
 */
export async function connectToHolder(
  identity: Identity,
  proxy: SshConnection,
  wish: string,
  holder: Holder,
): Promise<SshConnection> {
  const channel = await proxy.openChannel('session')
  const explanation = gatherExplanation(channel)
  await channel.request('subsystem', new WireWriter().string(`holder:${wish}`).finish())
  try {
    return await connect({
      stream: channel,
      username: joinLogin,
      credentials: async () => [{blob: identity.certificate, signer: identity.signer}],
      verifyHostKey: async key => verifyHolder(key, identity, holder),
      timeoutMilliseconds: handshakeMilliseconds,
    })
  } catch (error) {
    throw explanation() ?? error
  }
}

/** Only proxies and nodes hold sessions: a host certificate that somebody was given for another machine is none of theirs. */
function verifyHolder(
  {certificate}: PresentedHostKey,
  {hostAuthorities}: Identity,
  {id, name}: Holder,
): void {
  if (!certificate) throw problem('host_key_refused', `${name} presented a plain key`)
  checkCertificate(certificate, {kind: 'host', authorities: hostAuthorities, principal: id, now: Date.now()})
  if (hostRoleOf(certificate).role === undefined)
    throw problem('host_key_refused', `${name} is neither a proxy nor a node of the cluster`)
}
