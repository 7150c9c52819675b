import {once} from 'node:events'
import {chmod, chown, mkdtemp, rm} from 'node:fs/promises'
import {createServer, type ListenOptions, connect as netConnect, type Socket} from 'node:net'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {startChild} from '../children/index.js'
import {errnoOf} from '../durable/index.js'
import {problem, SallyportError} from '../errors/index.js'
import type {Address} from '../names/index.js'
import {within} from '../waiting/index.js'
import {type Plug, streamPlug} from './join-plug.js'
import {type Account, asUser} from './process/index.js'

const connectMilliseconds = 10_000
/** Connections at a time to one listener, those that wait for the client to take them among them. */
const maxConnections = 128

/** Something that listens; `close` ends listening alone, not what is connected. */
export interface Listener {
  port: number
  close(): void
}

/** Where the connections come from by which a client's forwarded ports reach this host. */
export interface UserSockets {
  /** @throws host_unreachable */
  connectPort(host: string, port: number): Promise<Plug>
  /** A Unix socket, with the rights of the account. @throws host_unreachable */
  connectPath(account: Account, path: string): Promise<Plug>
  /** On loopback alone, like sshd with `GatewayPorts no`. @param port 0: any. @throws host_unreachable */
  listenPort(port: number, onConnection: (socket: Socket) => void): Promise<Listener>
  /** A Unix socket that the account alone can use, made with its rights. @throws host_unreachable */
  listenPath(account: Account, path: string, onConnection: (socket: Socket) => void): Promise<Listener>
}

/**
 * TCP is the same for everybody. What a Unix socket may be reached by is a matter of files, and a path may come to mean
 * another one at any moment: so nothing is checked here, the user's own process does what the user asked for.
 * @param uid of this process
 */
export function createUserSockets(uid: number): UserSockets {
  const commandOf = (account: Account, command: readonly [string, ...string[]]): [string, ...string[]] =>
    account.uid === uid ? [...command] : asUser(account, command)
  return {
    connectPort: (host, port) => connect({host, port}, `${host}:${port}`),
    connectPath: (account, path) =>
      account.uid === uid
        ? connect({path}, path)
        : connectAs(asUser(account, [process.execPath, '-e', connectScript, path]), path),
    listenPort: (port, onConnection) => listen({port, host: '127.0.0.1'}, onConnection),
    listenPath: (account, path, onConnection) =>
      listenLinked({account, path, onConnection, run: command => runCommand(commandOf(account, command))}),
  }
}

function connect(where: Address | {path: string}, name: string): Promise<Plug> {
  return new Promise((resolve, reject) => {
    const socket =
      'path' in where
        ? netConnect({path: where.path, allowHalfOpen: true})
        : netConnect({...where, noDelay: true, allowHalfOpen: true})
    const fail = (code?: string): void => {
      clearTimeout(timer)
      socket.destroy()
      reject(cannotConnect(name, code))
    }
    const timer = setTimeout(() => fail('ETIMEDOUT'), connectMilliseconds)
    socket.once('error', error => fail(errnoOf(error)))
    socket.once('connect', () => {
      clearTimeout(timer)
      resolve(streamPlug(socket))
    })
  })
}

/** Passes its stdin and stdout on to a Unix socket; says `+` on stderr when it is connected, else why not. */
const connectScript = `
const socket = require('net').connect({path: process.argv[1], allowHalfOpen: true}, () => {
  process.stderr.write('+')
  process.stdin.pipe(socket)
  socket.pipe(process.stdout)
})
socket.on('error', error => process.stderr.write(error.code, () => process.exit(1)))
process.stdout.on('error', () => process.exit(1))
`

/** `+`, or the name of an error: no more of what a process of the user's says. */
const wordOf = (said: Buffer): string => said.toString('latin1', 0, 32)

/** The same by a process of the user's. */
async function connectAs(command: [string, ...string[]], path: string): Promise<Plug> {
  const child = startChild(command, ['pipe', 'pipe', 'pipe'], {cwd: '/', env: {}})
  const {stdin, stdout, stderr} = child
  if (!stdin || !stdout || !stderr) throw problem('internal', 'a program was started without pipes')
  const closed = new Promise<void>(resolve => {
    child.once('close', () => resolve())
    child.once('error', () => resolve())
  })
  for (const stream of [stdin, stdout, stderr]) stream.on('error', () => undefined)
  const said = await within(
    connectMilliseconds,
    Promise.race([once(stderr, 'data'), closed]),
    () => undefined,
  )
  const word = said === undefined ? 'ETIMEDOUT' : wordOf(said[0])
  if (word !== '+') {
    child.kill('SIGKILL')
    throw cannotConnect(path, word)
  }
  stderr.resume()
  return {readable: stdout, writable: stdin, destroy: () => void child.kill('SIGKILL'), closed}
}

async function listen(where: ListenOptions, onConnection: (socket: Socket) => void): Promise<Listener> {
  const server = createServer({allowHalfOpen: true, noDelay: true, pauseOnConnect: true}, onConnection)
  server.maxConnections = maxConnections
  try {
    server.listen(where)
    await once(server, 'listening')
  } catch (error) {
    throw cannotListen(error)
  }
  // Without descriptors there are no new connections for a while; those there are go on.
  server.on('error', () => undefined)
  const address = server.address()
  return {port: typeof address === 'object' ? (address?.port ?? 0) : 0, close: () => void server.close()}
}

interface Linked {
  account: Account
  path: string
  onConnection(socket: Socket): void
  /** As the account. */
  run(command: readonly [string, ...string[]]): Promise<void>
}

/**
 * The socket itself is in a directory of ours, where the user may use it and nothing else; a link to it is made where the
 * user asked for it, by the user.
 */
async function listenLinked({account, path, onConnection, run}: Linked): Promise<Listener> {
  const directory = await mkdtemp(join(tmpdir(), 'sallyport-forward-'))
  const socket = join(directory, 'socket')
  const remove = (): Promise<void> => rm(directory, {recursive: true, force: true})
  try {
    const listener = await listen({path: socket}, onConnection)
    // Until here the directory is ours alone.
    await chown(socket, account.uid, account.gid)
    await chmod(socket, 0o600)
    await chmod(directory, 0o711)
    await run(['ln', '-s', '--', socket, path])
    const unlink = [
      'sh',
      '-c',
      '[ "$(readlink -- "$1")" != "$2" ] || rm -f -- "$1"',
      'sh',
      path,
      socket,
    ] as const
    return {
      port: 0,
      close() {
        listener.close()
        // The user may have put something else there, or taken the right away from themselves: then the link stays.
        void Promise.allSettled([run([...unlink]), remove()])
      },
    }
  } catch (error) {
    await remove()
    throw cannotListen(error)
  }
}

async function runCommand(command: [string, ...string[]]): Promise<void> {
  const env = {PATH: '/usr/bin:/bin'}
  const options = {cwd: '/', env, timeout: connectMilliseconds}
  const child = startChild(command, ['ignore', 'ignore', 'ignore'], options)
  const [status] = (await once(child, 'close')) as [number | null]
  if (status !== 0) throw problem('host_unreachable', 'the user may not make a socket there, or there is one')
}

const reasons: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'connection refused',
  EHOSTUNREACH: 'no route to host',
  ENETUNREACH: 'no route to its network',
  ETIMEDOUT: 'it did not answer in time',
  ENOTFOUND: 'the name does not resolve',
  ENOENT: 'there is no such socket',
  EACCES: 'permission denied',
  EADDRINUSE: 'somebody listens there already',
}

const reasonOf = (code: unknown): string => reasons[String(code)] ?? 'it cannot be reached'

const cannotConnect = (name: string, code: unknown): SallyportError =>
  problem('host_unreachable', `cannot connect to ${name}: ${reasonOf(code)}`)

function cannotListen(error: unknown): SallyportError {
  if (error instanceof SallyportError) return error
  return problem('host_unreachable', `cannot listen there: ${reasonOf(errnoOf(error))}`, {cause: error})
}
