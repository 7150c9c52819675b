import {createAuthClient} from '../../auth/http/client.js'
import {type IdentityOptions, loadIdentity} from '../identity/identity.js'
import {connectToProxy} from '../ssh/proxy-connection.js'
import type {AuthConnection} from './auth-connection.js'

/** The channel type on which a proxy serves the auth API (docs/wire-protocol.md). */
const authApiChannel = 'auth-api@sallyport'

/**
 * The auth service as the logged-in user: HTTP over a channel of the proxy connection, so that the SSH certificate is
 * the one credential for everything.
 * @throws not_logged_in, certificate_expired, proxy_unreachable, …
 */
export async function connectAuthThroughProxy(options: IdentityOptions): Promise<AuthConnection> {
  const identity = await loadIdentity(options)
  const connection = await connectToProxy(identity).catch(error => {
    identity.close()
    throw error
  })
  const client = createAuthClient({
    connect: async () => {
      const channel = await connection.openChannel(authApiChannel)
      channel.stderr.resume()
      return channel
    },
  })
  return {
    api: client,
    async close() {
      client.close()
      connection.disconnect()
      await connection.closed
      identity.close()
    },
  }
}
