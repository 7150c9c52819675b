import {access} from 'node:fs/promises'
import {join} from 'node:path'
import type {RemoteAuthApi} from '../auth/remote-methods.js'
import {findDataDir} from '../config/index.js'
import {problem} from '../errors/index.js'

export interface AuthAccessOptions {
  /** As `--config` names it. */
  config?: string | undefined
  /** As `--data-dir` names it. */
  dataDir?: string | undefined
  /**
   * Reaches the auth service as the logged-in user, over a channel of a connection to the proxy. Used where neither
   * flag is given and no service runs on this machine's default data directory. Throws not_logged_in for nobody.
   */
  connectAuthThroughProxy?: (() => Promise<AuthAccess>) | undefined
}

/** The auth service, as whoever may be asking. */
export interface AuthAccess {
  api: RemoteAuthApi
  close(): Promise<void>
}

/**
 * The auth service that these flags mean: through the socket in its data directory, whose owner is its administrator,
 * else as the logged-in user through the proxy.
 * @throws service_not_running, access_denied for a socket of somebody else, config_invalid, not_logged_in
 */
export async function openAuthApi(options: AuthAccessOptions): Promise<AuthAccess> {
  const {config, dataDir, connectAuthThroughProxy} = options
  const socketPath = join(await findDataDir({config, dataDir}), 'admin.sock')
  const here = await reachable(socketPath)
  if (here === true) {
    const {createAuthClient} = await import('../auth/http-client.js')
    const client = createAuthClient({connect: async () => connect(socketPath)})
    return {api: client, close: async () => client.close()}
  }
  if (config === undefined && dataDir === undefined && connectAuthThroughProxy)
    return connectAuthThroughProxy()
  throw here
}

/** true, or why not. */
async function reachable(socketPath: string): Promise<true | Error> {
  return access(socketPath).then(
    () => true as const,
    (cause: NodeJS.ErrnoException) => {
      if (cause.code === 'EACCES')
        return problem('access_denied', `the service's socket ${socketPath} is not yours to open`, {
          hint: 'run this as the user that runs the service',
          cause,
        })
      return problem('service_not_running', `no auth service runs on ${socketPath}`, {
        hint: 'start one with `sallyport start`, or name its --config or --data-dir',
        cause,
      })
    },
  )
}

/** Runs `work` with the auth service that the flags of a command mean, and hangs up after it. */
export async function withAuthApi<T>(
  flags: {config?: string | undefined; 'data-dir'?: string | undefined},
  work: (api: RemoteAuthApi) => Promise<T>,
  connectAuthThroughProxy?: () => Promise<AuthAccess>,
): Promise<T> {
  const access = await openAuthApi({
    config: flags.config,
    dataDir: flags['data-dir'],
    connectAuthThroughProxy,
  })
  try {
    return await work(access.api)
  } finally {
    await access.close()
  }
}
