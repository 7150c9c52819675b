import {connect, type Socket} from 'node:net'
import {join} from 'node:path'
import type {RemoteAuthApi} from '../../auth/http/remote-methods.js'
import {findDataDir} from '../../config/index.js'
import {errnoOf} from '../../durable/index.js'
import {problem, type SallyportError} from '../../errors/index.js'

export interface AuthAccessOptions {
  /** As `--config` names it. */
  config?: string | undefined
  /** As `--data-dir` names it. */
  dataDir?: string | undefined
  /**
   * Reaches the auth service as the logged-in user, over a channel of a connection to the proxy. Used where neither
   * flag is given and no service of this user runs on the default data directory. Throws not_logged_in for nobody.
   */
  connectAuthThroughProxy?: (() => Promise<AuthAccess>) | undefined
}

/** The auth service, as whoever is asking. */
export interface AuthAccess {
  api: RemoteAuthApi
  close(): Promise<void>
}

/**
 * The auth service that these flags mean: through the socket in its data directory, whose owner is its administrator,
 * else as the logged-in user through the proxy.
 * @throws service_not_running, access_denied for a socket of somebody else, config_invalid, not_logged_in
 */
async function openAuthApi(options: AuthAccessOptions): Promise<AuthAccess> {
  const {config, dataDir, connectAuthThroughProxy} = options
  const socketPath = join(await findDataDir({config, dataDir}), 'admin.sock')
  try {
    return await throughSocket(socketPath)
  } catch (error) {
    if (config === undefined && dataDir === undefined && connectAuthThroughProxy)
      return connectAuthThroughProxy()
    throw error
  }
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

async function throughSocket(socketPath: string): Promise<AuthAccess> {
  // The first connection tells whether anybody is there, and then carries the first call.
  let first: Socket | undefined = await connectTo(socketPath)
  const {createAuthClient} = await import('../../auth/http/client.js')
  const client = createAuthClient({
    async connect() {
      const ready = first
      first = undefined
      return ready && !ready.destroyed ? ready : connectTo(socketPath)
    },
  })
  return {
    api: client,
    async close() {
      first?.destroy()
      client.close()
    },
  }
}

/** A connection to a socket of the service. @throws service_not_running, access_denied */
export function connectTo(socketPath: string): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect(socketPath)
    const fail = (error: Error) => reject(unreachable(socketPath, error))
    socket.once('error', fail)
    socket.once('connect', () => {
      socket.off('error', fail)
      // From here on the requests on it report what goes wrong; between two of them nobody listens.
      socket.on('error', () => {})
      resolve(socket)
    })
  })
}

function unreachable(socketPath: string, cause: Error): SallyportError {
  if (errnoOf(cause) === 'EACCES')
    return problem('access_denied', `the service's socket ${socketPath} is not yours to open`, {
      hint: 'run this as the user that runs the service',
      cause,
    })
  return problem('service_not_running', `no auth service answers on ${socketPath}`, {
    hint: 'start one with `sallyport start`, or name the running one with --config or --data-dir',
    cause,
  })
}
