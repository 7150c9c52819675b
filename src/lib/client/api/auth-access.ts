import {join} from 'node:path'
import type {RemoteAuthApi} from '../../auth/http/remote-methods.js'
import {findDataDir} from '../../config/index.js'
import {type IdentityFlags, identityOptions} from '../identity/identity-flags.js'
import type {AuthConnection} from './auth-connection.js'
import {connectAuthThroughProxy} from './auth-through-proxy.js'
import {connectAuthThroughSocket} from './auth-through-socket.js'

/** Flags of the commands that administrators give on the auth host. */
export interface AdminFlags {
  config?: string | undefined
  'data-dir'?: string | undefined
}

/** Flags of the commands that administrators give on the auth host, and users anywhere. */
export interface AuthFlags extends AdminFlags, IdentityFlags {}

/**
 * Runs `work` with the auth service as the administrator of this machine: through the socket of the service.
 * @throws service_not_running, access_denied for a socket of somebody else, config_invalid
 */
export const withAdminApi = <T>(flags: AdminFlags, work: (api: RemoteAuthApi) => Promise<T>): Promise<T> =>
  withConnection(() => throughSocket(flags), work)

/**
 * Runs `work` with the auth service that the flags mean: through the socket of the service on this machine, or as the
 * logged-in user through the proxy. `--proxy` or `--identity` says that it is the user who asks, `--config` or `--data-dir`
 * that it is the administrator; without any it is the user where no service runs here.
 * @throws service_not_running, access_denied for a socket of somebody else, config_invalid, not_logged_in
 */
export const withAuthApi = <T>(flags: AuthFlags, work: (api: RemoteAuthApi) => Promise<T>): Promise<T> =>
  withConnection(() => openConnection(flags), work)

async function openConnection(flags: AuthFlags): Promise<AuthConnection> {
  const asUser = () => connectAuthThroughProxy(identityOptions(flags))
  if (flags.proxy !== undefined || flags.identity !== undefined) return await asUser()
  try {
    return await throughSocket(flags)
  } catch (error) {
    if (flags.config !== undefined || flags['data-dir'] !== undefined) throw error
    return await asUser()
  }
}

const throughSocket = async (flags: AdminFlags): Promise<AuthConnection> =>
  connectAuthThroughSocket(
    join(await findDataDir({config: flags.config, dataDir: flags['data-dir']}), 'admin.sock'),
  )

async function withConnection<T>(
  open: () => Promise<AuthConnection>,
  work: (api: RemoteAuthApi) => Promise<T>,
): Promise<T> {
  const connection = await open()
  try {
    return await work(connection.api)
  } finally {
    await connection.close()
  }
}
