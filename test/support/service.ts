import {once} from 'node:events'
import {existsSync, readFileSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {createInterface} from 'node:readline'
import {fileURLToPath} from 'node:url'
import {type PipedProcess, type RunOptions, type RunResult, run, start, terminate} from './process.js'
import {temporaryDirectory} from './temporary-directory.js'

/** The built CLI, as installed. */
export const sallyportPath: string = fileURLToPath(new URL('../../bin/run.js', import.meta.url))

export const sallyport = (args: readonly string[], options: RunOptions = {}): Promise<RunResult> =>
  run(sallyportPath, args, options)

export interface ServiceOptions {
  /** Default: a new temporary one. */
  dataDir?: string
  /** YAML; ports on 127.0.0.1 that the system picks, recording on, no second factor, unless given. */
  config?: string
  /** More words for `start`. */
  args?: readonly string[]
}

export interface RunningService {
  dataDir: string
  /** Path of the configuration file. */
  config: string
  process: PipedProcess
  /** Lines on stdout until it was ready. */
  lines: string[]
  addresses: {
    pid: number
    cluster: string
    auth: {socket: string; host: string; port: number}
    ssh: {host: string; port: number}
    tunnel: {host: string; port: number}
    web: {host: string; port: number; url: string}
    diagnostics?: {host: string; port: number}
  }
  /** JSON records logged so far. */
  log(): Record<string, unknown>[]
  /** Sends the signal and resolves with the exit status, 128 + signal where that ended it. */
  stop(signal?: NodeJS.Signals): Promise<number>
}

export const trialConfig = `
auth_service: {cluster_name: test, listen_addr: "127.0.0.1:0", session_recording: proxy, authentication: {second_factor: off}}
proxy_service: {listen_addr: "127.0.0.1:0", web_listen_addr: "127.0.0.1:0", tunnel_listen_addr: "127.0.0.1:0"}
`

/** Runs `sallyport start` and resolves when every service listens. It is stopped when the test file ends. */
export async function startService({
  dataDir = join(temporaryDirectory(), 'data'),
  config = trialConfig,
  args = [],
}: ServiceOptions = {}): Promise<RunningService> {
  const file = join(temporaryDirectory(), 'sallyport.yaml')
  writeFileSync(file, config)
  const child = start(sallyportPath, ['start', `--config=${file}`, `--data-dir=${dataDir}`, ...args])
  let stderr = ''
  child.stderr.on('data', data => {
    stderr += data
  })
  const lines: string[] = []
  createInterface({input: child.stdout}).on('line', line => lines.push(line))
  const exited = once(child, 'exit').then(([code, signal]) => ({code, signal}))
  await Promise.race([
    readyLine(child, () => stderr),
    exited.then(({code}) => Promise.reject(new Error(`sallyport start ended with ${code}:\n${stderr}`))),
  ])
  return {
    ...{dataDir, config: file, process: child, lines},
    addresses: JSON.parse(readFileSync(join(dataDir, 'addresses.json'), 'utf8')),
    log: () =>
      stderr
        .split('\n')
        .filter(line => line !== '')
        .map(line => JSON.parse(line)),
    async stop(signal = 'SIGTERM') {
      child.kill(signal)
      const {code, signal: killedBy} = await exited
      await terminate(child)
      return code ?? (killedBy === 'SIGKILL' ? 137 : 143)
    },
  }
}

/** The log says `ready` after the last line of stdout was written. */
const readyLine = (child: PipedProcess, stderr: () => string): Promise<void> =>
  new Promise(resolve => {
    const look = (): void => {
      if (!stderr().includes('"msg":"ready"')) return
      child.stderr.off('data', look)
      resolve()
    }
    child.stderr.on('data', look)
  })

export const leftBehind = (dataDir: string): string[] =>
  ['addresses.json', 'admin.sock', 'watch.sock'].filter(name => existsSync(join(dataDir, name)))
