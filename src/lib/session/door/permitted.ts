import type {SessionOptions} from '../../access/types.js'
import type {Certificate} from '../../sshcert/index.js'

/** What the role allows and the certificate permits: both have to say yes. Pure. */
export function permitted(options: SessionOptions, certificate: Certificate): SessionOptions {
  const permits = (name: string): boolean => certificate.extensions.has(name)
  // A forced command is all that may run; a port or a display would lead round it.
  const forced = certificate.criticalOptions.has('force-command')
  // Nobody who has to look on would see what passes there.
  const watched = options.oversight !== undefined
  return {
    ...options,
    pty: options.pty && permits('permit-pty'),
    agentForwarding: options.agentForwarding && permits('permit-agent-forwarding'),
    portForwarding: options.portForwarding && permits('permit-port-forwarding') && !forced && !watched,
    x11Forwarding: options.x11Forwarding && permits('permit-X11-forwarding') && !forced && !watched,
  }
}
