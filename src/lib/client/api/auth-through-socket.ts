import {connect, type Socket} from 'node:net'
import {createAuthClient} from '../../auth/http/client.js'
import {errnoOf} from '../../durable/index.js'
import {problem, type SallyportError} from '../../errors/index.js'
import type {AuthConnection} from './auth-connection.js'

/**
 * The auth service on this machine through the socket in its data directory, whose owner is its administrator.
 * @throws service_not_running, access_denied for a socket of somebody else
 */
export async function connectAuthThroughSocket(socketPath: string): Promise<AuthConnection> {
  // The first connection tells whether anybody is there, and then carries the first call.
  let first: Socket | undefined = await connectTo(socketPath)
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
