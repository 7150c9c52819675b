import {once} from 'node:events'
import {mkdirSync, readFileSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {stringify} from 'yaml'
import {sallyport, startSallyport, type TextResult} from './cluster.js'
import {type PipedProcess, type RunOptions, terminate} from './process.js'

export interface MachineOptions {
  /** Of the machine; made where there is none. Its data directory is `data` in it. */
  directory: string
  roles: string
  /** Sections of the configuration. */
  config: Record<string, unknown>
  args?: readonly string[]
  env?: RunOptions['env']
}

export interface MachineAddresses {
  pid: number
  cluster: string
  auth?: {socket: string; host: string; port: number}
  ssh?: {host: string; port: number}
  tunnel?: {host: string; port: number}
  web?: {host: string; port: number; url: string}
  diagnostics?: {host: string; port: number}
  node?: {host: string; port: number}
}

/** One `sallyport start` of several that make a cluster. */
export interface Machine {
  dataDir: string
  configPath: string
  addresses: MachineAddresses
  lines: string[]
  log(): string
  admin(args: readonly string[], options?: RunOptions): Promise<TextResult>
  stop(signal?: NodeJS.Signals): Promise<number | null>
}

/** Writes the configuration of a machine. */
export function writeMachine({directory, config}: Pick<MachineOptions, 'directory' | 'config'>): string {
  mkdirSync(directory, {recursive: true})
  const path = join(directory, 'sallyport.yaml')
  const {teleport, ...sections} = config
  const common = {data_dir: join(directory, 'data'), ...(teleport as object | undefined)}
  writeFileSync(path, stringify({teleport: common, ...sections}), {mode: 0o600})
  return path
}

/** Starts roles in a process of their own, and resolves when they listen; rejects with the log when it ends before. */
export async function startMachine(options: MachineOptions): Promise<Machine> {
  const configPath = writeMachine(options)
  const dataDir = join(options.directory, 'data')
  const args = ['start', `--roles=${options.roles}`, `--config=${configPath}`, ...(options.args ?? [])]
  const child = startSallyport(args, options.env ? {env: options.env} : {})
  let log = ''
  let stdout = ''
  child.stdout.on('data', (chunk: Buffer) => {
    stdout += chunk.toString('utf8')
  })
  await untilReady(child, chunk => {
    log += chunk
    return log
  })
  return {
    ...{dataDir, configPath},
    addresses: JSON.parse(readFileSync(join(dataDir, 'addresses.json'), 'utf8')),
    lines: stdout.split('\n').filter(line => line !== ''),
    log: () => log,
    admin: (words, runOptions) => sallyport([...words, `--config=${configPath}`], runOptions),
    async stop(signal = 'SIGTERM') {
      if (child.exitCode === null && child.signalCode === null) {
        const gone = once(child, 'exit')
        child.kill(signal)
        await gone
      }
      await terminate(child)
      return child.exitCode
    },
  }
}

function untilReady(child: PipedProcess, take: (chunk: string) => string): Promise<void> {
  return new Promise((resolve, reject) => {
    child.stderr.on('data', (chunk: Buffer) => {
      if (take(chunk.toString('utf8')).includes('"msg":"ready"')) resolve()
    })
    child.once('exit', code => reject(new Error(`start ended with ${code}:\n${take('')}`)))
  })
}
