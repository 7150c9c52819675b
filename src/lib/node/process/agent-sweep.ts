import {lstat, readdir} from 'node:fs/promises'
import {createConnection} from 'node:net'
import {join} from 'node:path'
import {errnoOf} from '../../durable/index.js'
import {
  directoryPrefix,
  openDirectory,
  ownDirectories,
  pathOf,
  removeDirectory,
  removeSocket,
} from './agent-socket.js'

/** Names that mkdtemp(3) makes. */
const directoryName = new RegExp(`^${directoryPrefix}[A-Za-z0-9]{6}$`)
const socketPattern = /^teleport-(\d{1,10})\.socket$/
/** A crowded directory is not looked through for ever. */
const maxDirectories = 10_000

/**
 * Removes sockets of agents whose node has ended without doing it, with their directories; to be called before the
 * first session. Anything that is not exactly what `openAgentSocket` makes is left alone.
 * @returns how many were removed
 */
export async function sweepAgentSockets(parent: string): Promise<number> {
  const names = (await readdir(parent)).filter(name => directoryName.test(name)).slice(0, maxDirectories)
  let removed = 0
  for (const name of names) if (await sweep(join(parent, name))) removed++
  return removed
}

async function sweep(directory: string): Promise<boolean> {
  if (ownDirectories.has(directory)) return false
  const handle = await openDirectory(directory).catch(() => undefined)
  // Somebody else's, a link, or gone by now.
  if (!handle) return false
  try {
    const inside = pathOf(handle, directory)
    const entries = await readdir(inside)
    const stale = await Promise.all(entries.map(entry => isStale(inside, entry)))
    if (entries.length !== 1 || !stale.every(Boolean)) return false
    for (const entry of entries) await removeSocket(join(inside, entry))
  } finally {
    await handle.close()
  }
  await removeDirectory(directory)
  return true
}

async function isStale(directory: string, name: string): Promise<boolean> {
  const pid = Number(socketPattern.exec(name)?.[1] ?? Number.NaN)
  if (Number.isNaN(pid)) return false
  const path = join(directory, name)
  const status = await lstat(path).catch(() => undefined)
  // Our own number belonged to a process before us, as it does in containers: our own directories are known.
  const gone = pid === process.pid || !isAlive(pid)
  return gone && status?.isSocket() === true && (await isRefused(path))
}

/** Processes of other containers cannot be seen, but they answer. */
const isRefused = (path: string): Promise<boolean> =>
  new Promise(resolve => {
    const socket = createConnection(path)
    socket.once('connect', () => {
      socket.destroy()
      resolve(false)
    })
    socket.once('error', error => resolve(errnoOf(error) === 'ECONNREFUSED'))
  })

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return errnoOf(error) !== 'ESRCH'
  }
}
