import {once} from 'node:events'
import {createServer, type Socket} from 'node:net'
import {
  type AgentSocket,
  clientEnvironment,
  type NodeProcess,
  openAgentSocket,
  type Program,
  processEnvironment,
  readTerminal,
  resolveAccount,
  startProcess,
  type Terminal,
} from '../../src/lib/node/process/index.js'
import {readCommand, readWindowChange, relay} from '../../src/lib/session/index.js'
import {
  type AcceptOptions,
  acceptConnection,
  type Channel,
  type ChannelRequest,
  type SshConnection,
} from '../../src/lib/ssh/index.js'
import {WireReader, WireWriter} from '../../src/lib/sshcert/index.js'
import {atEnd} from './cleanup.js'

export interface ProcessServer {
  port: number
  failures: unknown[]
}

/** An SSH server on a free loopback port whose sessions are a node's processes, with nothing else of a node. */
export async function startProcessServer(
  options: Omit<AcceptOptions, 'stream'> & {socketDirectory: string},
): Promise<ProcessServer> {
  const failures: unknown[] = []
  const sockets = new Set<Socket>()
  const listener = createServer(socket => {
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
    acceptConnection({...options, stream: socket}).then(
      ({connection, user}) => {
        connection.onChannelOpen = open => {
          serve(connection, open.accept(), user.username, options.socketDirectory, failures)
        }
      },
      failure => failures.push(failure),
    )
  }).listen(0, '127.0.0.1')
  await once(listener, 'listening')
  atEnd(() => {
    for (const socket of sockets) socket.destroy()
    listener.close()
  })
  return {port: (listener.address() as {port: number}).port, failures}
}

function serve(
  connection: SshConnection,
  channel: Channel,
  login: string,
  socketDirectory: string,
  failures: unknown[],
): void {
  const client = clientEnvironment()
  let terminal: Terminal | undefined
  let agentWanted = false
  let agent: AgentSocket | undefined
  let running: NodeProcess | undefined

  const begin = async (program: Program): Promise<void> => {
    const account = await resolveAccount(login)
    if (agentWanted) {
      agent = await openAgentSocket({
        ...{account, directory: socketDirectory},
        onConnection: stream =>
          void connection.openChannel('auth-agent@openssh.com').then(
            upstream => stream.pipe(upstream).pipe(stream),
            failure => failures.push(failure),
          ),
      })
    }
    const environment = processEnvironment({
      ...{account, client: client.variables},
      session: {id: 'session', user: login, hostId: 'host', cluster: 'cluster'},
      ...(agent && {agentSocket: agent.path}),
    })
    running = await startProcess({account, program, environment, ...(terminal && {terminal})})
    await finish(running)
  }
  const finish = async (program: NodeProcess): Promise<void> => {
    void relay(channel, program.stdin).then(() => program.stdin.end())
    const [exit] = await Promise.all([
      program.exited,
      relay(program.stdout, channel),
      program.stderr && relay(program.stderr, channel.stderr),
    ])
    channel.end(() => {
      const end =
        'code' in exit
          ? new WireWriter().u32(exit.code).finish()
          : new WireWriter().string(exit.signal).bool(exit.coreDumped).string('').string('').finish()
      void channel.request('code' in exit ? 'exit-status' : 'exit-signal', end, false)
      channel.close()
    })
  }
  const answer = ({type, data}: ChannelRequest): boolean => {
    const start = (program: Program): true => {
      begin(program).catch((failure: unknown) => {
        failures.push(failure)
        channel.close()
      })
      return true
    }
    switch (type) {
      case 'env':
        return client.add(data)
      case 'pty-req':
        terminal = readTerminal(data)
        return true
      case 'window-change':
        running?.resize(readWindowChange(data))
        return true
      case 'auth-agent-req@openssh.com':
        agentWanted = true
        return true
      case 'signal':
        return running?.signal(new WireReader(data).text()) ?? false
      case 'shell':
        return start({kind: 'shell'})
      case 'exec':
        return start({kind: 'command', command: readCommand(data)})
      case 'subsystem':
        return readCommand(data) === 'sftp' && start({kind: 'sftp'})
      default:
        return false
    }
  }
  channel.awaitsStatus = true
  channel.onRequest = request => request.reply(answer(request))
  channel.onClosed = () => {
    running?.hangUp()
    void agent?.close()
  }
}
