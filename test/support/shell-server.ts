import {spawn} from 'node:child_process'
import {once} from 'node:events'
import {createServer, type Socket} from 'node:net'
import {
  type AcceptOptions,
  acceptConnection,
  type Channel,
  type SshConnection,
} from '../../src/lib/ssh/index.js'
import {WireReader, WireWriter} from '../../src/lib/sshcert/index.js'
import {atEnd} from './cleanup.js'

export interface ShellServer {
  port: number
  /** Connections that have logged in, in order. */
  connections: SshConnection[]
  /** Requests on sessions and connections, `type` alone. */
  requests: string[]
  /** Why connections did not come about. */
  failures: unknown[]
}

/** An SSH server of ours on a free loopback port that runs what `exec` requests say in a shell, as a test's remote end. */
export async function startShellServer(options: Omit<AcceptOptions, 'stream'>): Promise<ShellServer> {
  const state: Omit<ShellServer, 'port'> = {connections: [], requests: [], failures: []}
  const sockets = new Set<Socket>()
  const listener = createServer(socket => {
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
    acceptConnection({...options, stream: socket}).then(
      ({connection}) => serve(connection, state),
      failure => state.failures.push(failure),
    )
  }).listen(0, '127.0.0.1')
  await once(listener, 'listening')
  atEnd(() => {
    for (const socket of sockets) socket.destroy()
    listener.close()
  })
  return {...state, port: (listener.address() as {port: number}).port}
}

function serve(connection: SshConnection, {connections, requests}: Omit<ShellServer, 'port'>): void {
  connections.push(connection)
  connection.onGlobalRequest = ({type}) => {
    requests.push(type)
    return false
  }
  connection.onChannelOpen = open => {
    const channel = open.accept()
    channel.onRequest = ({type, data, reply}) => {
      requests.push(type)
      const command = type === 'exec' ? new WireReader(data).text() : undefined
      reply(command !== undefined || type === 'env')
      if (command !== undefined) runShell(channel, command, requests)
    }
  }
}

function runShell(channel: Channel, command: string, requests: string[]): void {
  const child = spawn('/bin/sh', ['-c', command], {stdio: 'pipe'})
  channel.onRequest = ({type, reply}) => {
    requests.push(type)
    // The reader at the other end has gone: as a broken pipe would, this ends who writes to it.
    if (type === 'eow@openssh.com') child.stdout.destroy()
    reply(false)
  }
  channel.onClosed = () => child.kill('SIGKILL')
  channel.pipe(child.stdin)
  child.stdin.on('error', () => undefined)
  child.stdout.pipe(channel, {end: false})
  child.stderr.pipe(channel.stderr, {end: false})
  child.once('close', (code, signal) => {
    channel.end(() => {
      const exit = signal
        ? new WireWriter().string(signal.slice(3)).bool(false).string('').string('').finish()
        : new WireWriter().u32(code ?? 255).finish()
      void channel.request(signal ? 'exit-signal' : 'exit-status', exit, false)
      channel.close()
    })
  })
}
