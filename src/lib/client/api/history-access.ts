import type {RemoteAuthApi} from '../../auth/http/remote-methods.js'
import {type IdentityFlags, identityOptions} from '../identity/identity-flags.js'
import {type AuthAccess, withAuthApi} from './auth-access.js'
import {connectAuthThroughProxy} from './auth-through-proxy.js'

/** Flags of the commands that administrators give on the auth host, and users anywhere. */
export interface HistoryFlags extends IdentityFlags {
  config?: string | undefined
  'data-dir'?: string | undefined
}

/**
 * Runs `work` with the auth service that the flags mean: through the admin socket of the service on this machine, or
 * as the logged-in user through the proxy. `--proxy` or `--identity` says that it is the user who asks.
 */
export function withHistoryApi<T>(flags: HistoryFlags, work: (api: RemoteAuthApi) => Promise<T>): Promise<T> {
  const connect = () => connectAuthThroughProxy(identityOptions(flags))
  const asUser = flags.proxy !== undefined || flags.identity !== undefined
  return asUser ? withAccess(connect, work) : withAuthApi(flags, work, connect)
}

async function withAccess<T>(
  open: () => Promise<AuthAccess>,
  work: (api: RemoteAuthApi) => Promise<T>,
): Promise<T> {
  const access = await open()
  try {
    return await work(access.api)
  } finally {
    await access.close()
  }
}
