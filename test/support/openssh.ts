import {once} from 'node:events'
import {chmodSync, writeFileSync} from 'node:fs'
import {connect} from 'node:net'
import {join} from 'node:path'
import {createInterface} from 'node:readline'
import {type RunOptions, type RunResult, run, start, terminate} from './process.js'

/** Runs the stock client with exactly these arguments. See `clientOptions` for a set that shuts the machine out. */
export const ssh = (args: readonly string[], options: RunOptions = {}): Promise<RunResult> =>
  run('ssh', args, options)

export const sshAdd = (args: readonly string[], options: RunOptions = {}): Promise<RunResult> =>
  run('ssh-add', args, options)

/** Runs ssh-keygen and returns what it printed. @throws when it fails */
export async function sshKeygen(args: readonly string[], options: RunOptions = {}): Promise<string> {
  const {code, stdout, stderr} = await run('ssh-keygen', args, options)
  if (code !== 0) throw new Error(`ssh-keygen ${args.join(' ')} ended with ${code}: ${stderr}`)
  return stdout.toString('utf8')
}

export interface ClientOptions {
  port?: number
  /** Path of a known_hosts file; without it the host key is not checked. */
  knownHosts?: string
  /** Path of the private key; only this one is offered. */
  identity?: string
  /** Path of the certificate that goes with it. */
  certificate?: string
}

/** Options for ssh, sftp and scp that keep the configuration, keys and known hosts of the machine out of a test. */
export function clientOptions({port, knownHosts, identity, certificate}: ClientOptions = {}): string[] {
  const settings = [
    'BatchMode=yes',
    'ConnectTimeout=10',
    'GlobalKnownHostsFile=/dev/null',
    `UserKnownHostsFile=${knownHosts ?? '/dev/null'}`,
    `StrictHostKeyChecking=${knownHosts ? 'yes' : 'no'}`,
    ...(port === undefined ? [] : [`Port=${port}`]),
    ...(identity ? [`IdentityFile=${identity}`, 'IdentitiesOnly=yes'] : ['IdentityFile=none']),
    ...(certificate ? [`CertificateFile=${certificate}`] : []),
  ]
  return ['-F', 'none', ...settings.flatMap(setting => ['-o', setting])]
}

export interface Agent {
  socket: string
  /** To be merged into the environment of a client. */
  env: {SSH_AUTH_SOCK: string}
  stop(): Promise<void>
}

/** Starts a real ssh-agent with its socket in `directory` and resolves when it accepts connections. */
export async function startAgent(directory: string): Promise<Agent> {
  const socket = join(directory, 'agent.sock')
  const agent = start('ssh-agent', ['-D', '-a', socket])
  const lines = createInterface({input: agent.stdout})
  // It prints its socket once it listens.
  const [first] = (await Promise.race([
    once(lines, 'line'),
    once(agent, 'exit').then(([code]) => Promise.reject(new Error(`ssh-agent ended with ${code}`))),
  ])) as [string]
  if (!first.includes('SSH_AUTH_SOCK')) throw new Error(`ssh-agent said ${first}`)
  lines.close()
  agent.stdout.resume()
  await answers(socket)
  return {socket, env: {SSH_AUTH_SOCK: socket}, stop: () => terminate(agent)}
}

const answers = async (socket: string): Promise<void> => {
  const connection = connect(socket)
  await once(connection, 'connect')
  connection.destroy()
}

/** Writes a private key file that ssh accepts: nobody but its owner may read it. Returns the path. */
export function writePrivateFile(path: string, contents: string): string {
  writeFileSync(path, contents, {mode: 0o600})
  chmodSync(path, 0o600)
  return path
}
