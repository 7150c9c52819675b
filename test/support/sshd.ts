import {generateKeyPairSync, type KeyObject} from 'node:crypto'
import {once} from 'node:events'
import {accessSync, constants, mkdirSync, writeFileSync} from 'node:fs'
import {createServer} from 'node:net'
import {userInfo} from 'node:os'
import {delimiter, join} from 'node:path'
import {formatAuthorizedKey, formatPrivateKey, publicKeyBlob} from '../../src/lib/sshcert/index.js'
import {atEnd} from './cleanup.js'
import {writePrivateFile} from './openssh.js'
import {descendants, type PipedProcess, start, terminate} from './process.js'

export interface SshdOptions {
  /** An existing directory for keys and configuration; one per server. */
  directory: string
  /** Private host key; a new Ed25519 key by default. */
  hostKey?: KeyObject
  /** Certificate blob over the host key. */
  hostCertificate?: Buffer
  /** Public key blobs of the authorities whose user certificates let people in; none: nobody gets in by certificate. */
  trustedUserCa?: Buffer | readonly Buffer[]
  /** Public key blobs that let people in without a certificate. */
  authorizedKeys?: readonly Buffer[]
  /** Default true. */
  allowAgentForwarding?: boolean
  /** Default true. */
  allowTcpForwarding?: boolean
  /** Default VERBOSE, which names the reason of every refused certificate; DEBUG1…DEBUG3 say more. */
  logLevel?: string
  /** More sshd_config lines. They come first, and the first value of a setting counts. */
  extraConfig?: string
  /** Default 127.0.0.1. */
  listenAddress?: string
}

export interface Sshd {
  port: number
  pid: number
  /** Plain public host key blob. */
  hostKey: Buffer
  /** The only account an unprivileged sshd lets in: the one that runs it. */
  user: string
  /** A known_hosts line that pins the plain host key. */
  knownHostsLine: string
  /** Everything logged so far. */
  log(): string
  /**
   * Resolves with the first log line that matches, logged before or after the call.
   * @param since skip the first characters of the log, as in `const since = sshd.log().length`
   * @throws after 10 s, with the log
   */
  waitForLog(pattern: RegExp, since?: number): Promise<string>
  /** Ends the server and every session on it. */
  stop(): Promise<void>
}

const logDeadline = 10_000
const portAttempts = 5

/**
 * Starts a real sshd on a free loopback port and resolves when it listens. Works as root and, for the account that
 * runs it, without privileges; reads nothing of the machine's own sshd configuration. Stopped when the test file ends.
 */
export async function startSshd(options: SshdOptions): Promise<Sshd> {
  // sshd insists on its privilege separation directory when root starts it.
  if (process.getuid?.() === 0) mkdirSync('/run/sshd', {recursive: true, mode: 0o755})
  const {privateKey} = options.hostKey ? {privateKey: options.hostKey} : generateKeyPairSync('ed25519')
  const hostKey = publicKeyBlob(privateKey)
  const listenAddress = options.listenAddress ?? '127.0.0.1'
  writePrivateFile(join(options.directory, 'host_key'), formatPrivateKey(privateKey, 'host'))
  for (let attempt = 1; ; attempt++) {
    const port = await freePort(listenAddress)
    const path = join(options.directory, 'sshd_config')
    writeFileSync(path, configuration(options, listenAddress, port))
    const server = start(sshdPath(), ['-D', '-e', '-f', path])
    const log = followLog(server)
    const line = await log.wait(/Server listening on|Bind to port .* failed|^sshd ended/m)
    if (line.includes('Server listening on')) {
      return {
        ...{port, hostKey, log: log.text, waitForLog: log.wait},
        pid: server.pid ?? 0,
        user: userInfo().username,
        knownHostsLine: `[${listenAddress}]:${port} ${formatAuthorizedKey(hostKey)}`,
        stop: stopper(server),
      }
    }
    await terminate(server)
    // Somebody else took the port between our asking for a free one and sshd's binding it.
    if (!log.text().includes('Bind to port') || attempt === portAttempts)
      throw new Error(`sshd did not start:\n${log.text()}`)
  }
}

/** sshd runs itself again by its own path, which must be absolute. */
function sshdPath(): string {
  const directories = [
    '/usr/sbin',
    '/usr/local/sbin',
    '/opt/homebrew/sbin',
    ...(process.env.PATH ?? '').split(delimiter),
  ]
  for (const directory of directories) {
    try {
      const path = join(directory, 'sshd')
      accessSync(path, constants.X_OK)
      return path
    } catch {
      // Not here: look in the next one.
    }
  }
  throw new Error(
    'these tests need a real sshd; install OpenSSH server (Debian: apt-get install openssh-server)',
  )
}

async function freePort(address: string): Promise<number> {
  const server = createServer().listen(0, address)
  await once(server, 'listening')
  const bound = server.address()
  server.close()
  await once(server, 'close')
  if (bound === null || typeof bound === 'string') throw new Error('no TCP port')
  return bound.port
}

function configuration(options: SshdOptions, listenAddress: string, port: number): string {
  const keyFile = (name: string, blobs: readonly Buffer[]): string => {
    const path = join(options.directory, name)
    writeFileSync(path, blobs.map(blob => `${formatAuthorizedKey(blob)}\n`).join(''))
    return path
  }
  const {hostCertificate, trustedUserCa, authorizedKeys} = options
  const authorities = Buffer.isBuffer(trustedUserCa) ? [trustedUserCa] : (trustedUserCa ?? [])
  const lines = [
    options.extraConfig ?? '',
    `ListenAddress ${listenAddress}`,
    `Port ${port}`,
    `HostKey ${join(options.directory, 'host_key')}`,
    ...(hostCertificate ? [`HostCertificate ${keyFile('host_key-cert.pub', [hostCertificate])}`] : []),
    ...(authorities.length > 0 ? [`TrustedUserCAKeys ${keyFile('user_ca.pub', authorities)}`] : []),
    `AuthorizedKeysFile ${authorizedKeys ? keyFile('authorized_keys', authorizedKeys) : 'none'}`,
    `AllowAgentForwarding ${options.allowAgentForwarding === false ? 'no' : 'yes'}`,
    `AllowTcpForwarding ${options.allowTcpForwarding === false ? 'no' : 'yes'}`,
    `LogLevel ${options.logLevel ?? 'VERBOSE'}`,
    `PidFile ${join(options.directory, 'sshd.pid')}`,
    // The directory is under a world-writable one, which StrictModes would refuse.
    'StrictModes no',
    'PermitRootLogin prohibit-password',
    'PasswordAuthentication no',
    'KbdInteractiveAuthentication no',
    'UsePAM no',
    'UseDNS no',
    'PrintMotd no',
    'MaxStartups 1000:30:2000',
    'AcceptEnv *',
    'Subsystem sftp internal-sftp',
  ]
  return `${lines.join('\n')}\n`
}

interface LogFollower {
  text(): string
  wait(pattern: RegExp, since?: number): Promise<string>
}

function followLog(server: PipedProcess): LogFollower {
  let text = ''
  let watchers: (() => void)[] = []
  const append = (more: string): void => {
    text += more
    for (const look of [...watchers]) look()
  }
  server.stdout.resume()
  server.stderr.setEncoding('utf8').on('data', (chunk: string) => append(chunk.replaceAll('\r', '')))
  server.once('exit', (code, signal) => append(`sshd ended with ${signal ?? code}\n`))
  server.once('error', failure => append(`sshd ended before it began: ${failure.message}\n`))

  const find = (pattern: RegExp, since: number): string | undefined =>
    // Only whole lines: the rest of the last one may still be on its way.
    text
      .slice(since, text.lastIndexOf('\n') + 1)
      .split('\n')
      .find(line => line !== '' && line.search(pattern) >= 0)

  const wait = (pattern: RegExp, since = 0): Promise<string> =>
    new Promise((resolve, reject) => {
      const stopWatching = (): void => {
        clearTimeout(timer)
        watchers = watchers.filter(watcher => watcher !== look)
      }
      const look = (): void => {
        const line = find(pattern, since)
        if (line === undefined) return
        stopWatching()
        resolve(line)
      }
      const timer = setTimeout(() => {
        stopWatching()
        reject(new Error(`sshd did not log ${pattern} within ${logDeadline} ms; it logged:\n${text}`))
      }, logDeadline)
      watchers.push(look)
      look()
    })

  return {text: () => text, wait}
}

function stopper(server: PipedProcess): () => Promise<void> {
  const stop = async (): Promise<void> => {
    forget()
    if (server.pid === undefined || server.exitCode !== null || server.signalCode !== null) return
    // Sessions outlive the listener and leave its process group: note them while they can still be found.
    const sessions = descendants(server.pid)
    await terminate(server)
    for (const pid of sessions) {
      try {
        process.kill(pid, 'SIGKILL')
      } catch (failure) {
        if ((failure as NodeJS.ErrnoException).code !== 'ESRCH') throw failure
      }
    }
  }
  const forget = atEnd(stop)
  return stop
}
