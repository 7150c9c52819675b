import {access, constants, rm} from 'node:fs/promises'
import {connect} from 'node:net'
import {join} from 'node:path'
import {ensurePrivateDirectory, systemErrorWords} from '../durable/index.js'
import {problem, SallyportError} from '../errors/index.js'

/** Files of a running service that others look for; everything else in the data directory belongs to the rooms. */
const adminSocket = (dataDir: string): string => join(dataDir, 'admin.sock')
/** Of a service without the auth role: nothing is served there. */
const presenceSocket = (dataDir: string): string => join(dataDir, 'service.sock')
/** For those who look on at sessions, beside the administration's. */
const watchSocket = (dataDir: string): string => join(dataDir, 'watch.sock')
export const addressesFile = (dataDir: string): string => join(dataDir, 'addresses.json')

// sun_path is 108 bytes on Linux and 104 on macOS, the closing NUL included.
const maxSocketPath = 103

/** Creates the data directory as 0700. Throws `store_failed` where it cannot be made or written. */
export async function prepareDataDir(dataDir: string): Promise<void> {
  if (Buffer.byteLength(adminSocket(dataDir)) > maxSocketPath)
    throw problem(
      'config_invalid',
      `the data directory's path is too long for a Unix socket in it: ${dataDir}`,
      {
        hint: 'choose a shorter one with --data-dir',
      },
    )
  try {
    await ensurePrivateDirectory(dataDir)
    await access(dataDir, constants.R_OK | constants.W_OK | constants.X_OK)
  } catch (cause) {
    if (cause instanceof SallyportError) throw cause
    throw problem(
      'store_failed',
      `the data directory ${dataDir} cannot be used: ${systemErrorWords(cause)}`,
      {
        hint: 'name one that this user may write with --data-dir',
        cause,
      },
    )
  }
}

/**
 * Refuses a second service on one data directory: throws `already_running` when somebody answers on one of its sockets.
 * A socket that nobody answers on was left by a crash and is removed.
 */
export async function claimAdminSocket(dataDir: string): Promise<string> {
  if (await answers(presenceSocket(dataDir))) throw alreadyRunning(dataDir)
  return claim(dataDir, adminSocket(dataDir))
}

/** The same for a service without the auth role. */
export async function claimPresenceSocket(dataDir: string): Promise<string> {
  if (await answers(adminSocket(dataDir))) throw alreadyRunning(dataDir)
  return claim(dataDir, presenceSocket(dataDir))
}

/** Of whoever has claimed the administration's already: what is there was left by a crash. */
export async function claimWatchSocket(dataDir: string): Promise<string> {
  const path = watchSocket(dataDir)
  await rm(path, {force: true})
  return path
}

async function claim(dataDir: string, path: string): Promise<string> {
  if (await answers(path)) throw alreadyRunning(dataDir)
  await rm(path, {force: true})
  return path
}

const alreadyRunning = (dataDir: string, cause?: unknown) =>
  problem('already_running', `another sallyport runs on the data directory ${dataDir}`, {
    hint: 'stop it, or give this one its own with --data-dir',
    cause,
  })

function answers(path: string): Promise<boolean> {
  return new Promise(resolve => {
    const socket = connect(path)
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', () => resolve(false))
  })
}
