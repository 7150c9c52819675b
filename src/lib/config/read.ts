import {stat} from 'node:fs/promises'
import {homedir, hostname} from 'node:os'
import {resolve} from 'node:path'
import {errnoOf, readSmallFile} from '../durable/index.js'
import {asProblem, problem} from '../errors/index.js'
import {type LoadedFile, parseConfig} from './load.js'
import {dataDirOf, resolveConfig, type StartFlags, type Surroundings} from './resolve.js'
import type {Config} from './types.js'

const maxConfigBytes = 1024 * 1024

/** This machine and whoever runs the process. */
const surroundings = (env: NodeJS.ProcessEnv = process.env): Surroundings => ({
  hostname: hostname(),
  home: homedir(),
  isRoot: process.getuid?.() === 0,
  ...(env.XDG_DATA_HOME ? {xdgDataHome: env.XDG_DATA_HOME} : {}),
})

const empty: LoadedFile = {config: {}, at: () => ''}

/** Reads the configuration file, or stands in for it where none is named. Throws `config_invalid`. */
const readConfigFile = async (path?: string): Promise<LoadedFile> =>
  path === undefined ? empty : parseConfig(await readBounded(path), path)

/** The configuration of a service. Throws `config_invalid` with `file:line:col`. */
export async function loadConfig(
  path: string | undefined,
  flags: StartFlags,
  around: Surroundings = surroundings(),
): Promise<Config> {
  const file = await readConfigFile(path)
  const resolved = resolveConfig(file.config, flags, around)
  const config = {...resolved, dataDir: resolve(resolved.dataDir)}
  if (config.proxy.httpsKeyFile !== undefined)
    await assertPrivate(config.proxy.httpsKeyFile, file.at('proxy_service', 'https_key_file'))
  return config
}

/** Where the service that these two flags describe keeps its state. */
export async function findDataDir(
  {config, dataDir}: {config?: string | undefined; dataDir?: string | undefined},
  around: Surroundings = surroundings(),
): Promise<string> {
  if (dataDir !== undefined) return resolve(dataDir)
  return resolve(dataDirOf((await readConfigFile(config)).config, {}, around))
}

const reasons: Readonly<Record<string, string>> = {
  ENOENT: 'does not exist',
  EACCES: 'may not be read by this user',
  EISDIR: 'is a directory',
}

/** Never more than a configuration can be, also from a device or a pipe that has no size. */
async function readBounded(path: string): Promise<string> {
  try {
    return await readSmallFile(path, {maxBytes: maxConfigBytes})
  } catch (cause) {
    if (asProblem(cause).code === 'limit_exceeded')
      throw problem('config_invalid', `${path} is larger than a configuration file may be (1 MiB)`, {cause})
    throw problem('config_invalid', `${path} ${reasons[errnoOf(cause) ?? ''] ?? 'cannot be read'}`, {
      hint: 'name the file with --config; `sallyport configure` prints one to begin with',
      cause,
    })
  }
}

/** A key that others can read is no secret any more: the service does not start with it. */
async function assertPrivate(path: string, place: string): Promise<void> {
  const complain = (message: string, hint: string, cause?: unknown): never => {
    throw problem('config_invalid', `${place}: proxy_service.https_key_file: ${message}`, {hint, cause})
  }
  const {mode} = await stat(path).catch(cause =>
    complain('the file cannot be read', 'name a readable key file', cause),
  )
  if ((mode & 0o077) !== 0)
    complain(
      `the key file can be read by others (mode ${(mode & 0o777).toString(8)})`,
      `run: chmod 600 ${path}`,
    )
}
