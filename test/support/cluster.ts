import {once} from 'node:events'
import {existsSync, readFileSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {createInterface} from 'node:readline'
import {fileURLToPath} from 'node:url'
import {stringify} from 'yaml'
import {type PipedProcess, type RunOptions, type RunResult, run, start, terminate} from './process.js'

/** The built program, as it is installed. */
const program = fileURLToPath(new URL('../../bin/run.js', import.meta.url))

export interface ClusterOptions {
  /** An existing directory, empty unless `reuse`. */
  directory: string
  /** Start again on the configuration and the state that are there. */
  reuse?: boolean
  /** Merged over the defaults, section by section. */
  config?: {
    auth_service?: Record<string, unknown>
    proxy_service?: Record<string, unknown>
    ssh_service?: Record<string, unknown>
    teleport?: Record<string, unknown>
  }
  /** Default: auth,proxy. */
  roles?: string
  /** Of the service. */
  env?: Record<string, string>
}

export interface Cluster {
  configPath: string
  dataDir: string
  addresses: {
    ssh: {host: string; port: number}
    /** Where a node is among the roles. */
    node?: {host: string; port: number}
    web: {host: string; port: number; url: string}
    auth: {socket: string}
  }
  /** The lines printed on stdout at start. */
  banner: string[]
  pid: number
  log(): string
  /** Runs the CLI as an administrator of this cluster. */
  admin(args: readonly string[], options?: RunOptions): Promise<TextResult>
  /** Ends the service with this signal and waits; resolves to its exit status. */
  stop(signal?: NodeJS.Signals): Promise<number | null>
}

export interface TextResult extends Omit<RunResult, 'stdout'> {
  stdout: string
  bytes: Buffer
}

/** Runs the built CLI. */
export async function sallyport(args: readonly string[], options: RunOptions = {}): Promise<TextResult> {
  const result = await run(process.execPath, [program, ...args], {
    ...options,
    env: {NO_COLOR: '1', ...options.env},
  })
  return {...result, bytes: result.stdout, stdout: result.stdout.toString('utf8')}
}

/** Starts the built CLI and leaves it running. */
export const startSallyport = (args: readonly string[], options: RunOptions = {}): PipedProcess =>
  start(process.execPath, [program, ...args], {...options, env: {NO_COLOR: '1', ...options.env}})

/** Starts auth and proxy in a process of their own, on loopback and free ports, and resolves when they listen. */
export async function startCluster({
  directory,
  config = {},
  reuse = false,
  roles = 'auth,proxy',
  env = {},
}: ClusterOptions): Promise<Cluster> {
  const dataDir = join(directory, 'data')
  const configPath = join(directory, 'sallyport.yaml')
  const fresh = (): string =>
    stringify({
      teleport: {nodename: 'proxy-1', data_dir: dataDir, ...config.teleport},
      auth_service: {
        enabled: 'yes',
        cluster_name: 'test.example',
        listen_addr: '127.0.0.1:0',
        session_recording: 'proxy',
        authentication: {type: 'local', second_factor: 'off'},
        ...config.auth_service,
      },
      proxy_service: {
        enabled: 'yes',
        listen_addr: '127.0.0.1:0',
        web_listen_addr: '127.0.0.1:0',
        tunnel_listen_addr: '127.0.0.1:0',
        ...config.proxy_service,
      },
      ...(roles.includes('node') && {
        ssh_service: {enabled: 'yes', listen_addr: '127.0.0.1:0', ...config.ssh_service},
      }),
    })
  if (!reuse) writeFileSync(configPath, fresh(), {mode: 0o600})
  const words = [program, 'start', `--roles=${roles}`, `--config=${configPath}`]
  const service = start(process.execPath, words, {env})
  const {banner, log} = await untilReady(service, dataDir)
  return {
    ...{configPath, dataDir, banner, log},
    addresses: JSON.parse(readFileSync(join(dataDir, 'addresses.json'), 'utf8')),
    pid: service.pid ?? 0,
    admin: (args, options) => sallyport([...args, `--config=${configPath}`], options),
    async stop(signal = 'SIGTERM') {
      if (service.exitCode === null && service.signalCode === null) {
        const gone = once(service, 'exit')
        service.kill(signal)
        await gone
      }
      await terminate(service)
      return service.exitCode
    },
  }
}

async function untilReady(
  service: PipedProcess,
  dataDir: string,
): Promise<{banner: string[]; log: () => string}> {
  let log = ''
  service.stderr.on('data', (chunk: Buffer) => {
    log += chunk.toString('utf8')
  })
  const banner: string[] = []
  const lines = createInterface({input: service.stdout})
  await new Promise<void>((resolve, reject) => {
    lines.on('line', line => {
      banner.push(line)
      if (line.startsWith('web ') && existsSync(join(dataDir, 'addresses.json'))) resolve()
    })
    service.once('exit', code => reject(new Error(`the service ended with ${code}:\n${log}`)))
  })
  return {banner, log: () => log}
}
