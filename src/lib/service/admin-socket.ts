import {chmod} from 'node:fs/promises'
import {createServer, type Socket} from 'node:net'
import {claimAdminSocket, claimPresenceSocket, claimWatchSocket} from './data-dir.js'

export interface AdminSocket {
  path: string
  close(): Promise<void>
}

/**
 * Listens on `<data-dir>/admin.sock`, mode 0600 in a 0700 directory: whoever can open it is an administrator.
 * Throws `already_running` when another service answers there.
 */
export const startAdminSocket = async (
  dataDir: string,
  serve: (connection: Socket) => void,
): Promise<AdminSocket> => listenOn(await claimAdminSocket(dataDir), serve)

/** Listens on `<data-dir>/watch.sock`, under the same guard, for administrators who look on at sessions. */
export const startWatchSocket = async (
  dataDir: string,
  serve: (connection: Socket) => void,
): Promise<AdminSocket> => listenOn(await claimWatchSocket(dataDir), serve)

/**
 * Shows that a service without the auth role runs on the data directory, and says how it fares to whoever connects. Throws
 * `already_running`.
 */
export const startPresenceSocket = async (dataDir: string, words: () => string): Promise<AdminSocket> =>
  listenOn(await claimPresenceSocket(dataDir), connection => connection.end(words()))

async function listenOn(path: string, serve: (connection: Socket) => void): Promise<AdminSocket> {
  const connections = new Set<Socket>()
  const server = createServer(connection => {
    connections.add(connection)
    // A client that hangs up in the middle must not end the service.
    connection.on('error', () => connection.destroy())
    connection.once('close', () => connections.delete(connection))
    serve(connection)
  })
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(path, resolve)
  })
  await chmod(path, 0o600)
  return {
    path,
    close: () =>
      new Promise(resolve => {
        server.close(() => resolve())
        for (const connection of connections) connection.destroy()
      }),
  }
}
