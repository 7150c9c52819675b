import {constants} from 'node:fs'
import {chmod, chown, type FileHandle, mkdtemp, open, rmdir, stat, unlink} from 'node:fs/promises'
import {createServer, type Server, type Socket} from 'node:net'
import {join} from 'node:path'
import type {Duplex} from 'node:stream'
import {problem} from '../../errors/index.js'
import type {Account} from './types.js'

/** Programs that may talk to the agent at once: each is a channel to the user's machine. */
const maxConnections = 64
/** sun_path holds 108 bytes on Linux and 104 on macOS, the last of them zero. */
const maxSocketPath = 103
const stickyBit = 0o1000
const writableForOthers = 0o022

export const directoryPrefix = 'teleport-'
const socketName = (pid: number): string => `teleport-${pid}.socket`

/** Directories of sockets that this process serves. */
export const ownDirectories = new Set<string>()

export interface AgentSocketOptions {
  account: Account
  /** Where temporary files are. */
  directory: string
  onConnection(stream: Duplex): void
}

export interface AgentSocket {
  /** For SSH_AUTH_SOCK. */
  path: string
  /** Ends all connections and removes the socket. */
  close(): Promise<void>
}

/**
 * Listens for programs of a session that look for an ssh-agent: `<directory>/teleport-XXXXXX/teleport-<pid>.socket`,
 * the directory 0700 and the socket 0600, both owned by the account.
 * @throws unavailable others could put something of theirs in its place, or there is no room
 */
export async function openAgentSocket(options: AgentSocketOptions): Promise<AgentSocket> {
  const {account, directory: parent} = options
  await checkParent(parent)
  const directory = await mkdtemp(join(parent, directoryPrefix))
  ownDirectories.add(directory)
  const handle = await openDirectory(directory)
  const sockets = new Set<Socket>()
  const server = createServer(socket => {
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
    socket.on('error', () => socket.destroy())
    options.onConnection(socket)
  })
  server.maxConnections = maxConnections
  const inside = join(pathOf(handle, directory), socketName(process.pid))
  const path = join(directory, socketName(process.pid))
  const close = async (): Promise<void> => {
    for (const socket of sockets) socket.destroy()
    await stopListening(server)
    await removeSocket(inside)
    await handle.close()
    await removeDirectory(directory)
    ownDirectories.delete(directory)
  }
  try {
    if (Buffer.byteLength(path) > maxSocketPath)
      throw problem('unavailable', 'the directory for temporary files has too long a path for a socket')
    await listen(server, inside)
    await chmod(inside, 0o600)
    if (process.getuid?.() === 0) {
      await chown(inside, account.uid, account.gid)
      // Last: from here on the user may change what is in it.
      await handle.chown(account.uid, account.gid)
    }
    return {path, close}
  } catch (error) {
    await close()
    throw error
  }
}

/** Refuses a directory in which somebody else could rename what we make there. */
async function checkParent(path: string): Promise<void> {
  const {mode, uid} = await stat(path)
  const open = (mode & writableForOthers) !== 0 && (mode & stickyBit) === 0
  if (!open && (uid === 0 || uid === process.getuid?.())) return
  throw problem('unavailable', 'the directory for temporary files is not safe for the socket of an agent', {
    hint: 'its owner has to be root, and its mode 1777',
  })
}

export const openDirectory = (path: string): Promise<FileHandle> =>
  open(path, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW)

/** A path to the very directory that was opened, whatever its name leads to by now; only Linux has one. */
export const pathOf = (directory: FileHandle, path: string): string =>
  process.platform === 'linux' ? `/proc/self/fd/${directory.fd}` : path

const listen = (server: Server, path: string): Promise<void> =>
  new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(path, () => {
      server.off('error', reject)
      resolve()
    })
  })

const stopListening = (server: Server): Promise<void> =>
  new Promise(resolve => {
    // Complains when it never listened, which is as good.
    server.close(() => resolve())
  })

export async function removeSocket(path: string): Promise<void> {
  try {
    await unlink(path)
  } catch {
    // The user may have removed it, or Node when it stopped listening.
  }
}

export async function removeDirectory(path: string): Promise<void> {
  try {
    await rmdir(path)
  } catch {
    // The user has put something else there, or in it: that is not ours to remove.
  }
}
