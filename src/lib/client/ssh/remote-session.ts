import {connect as connectSocket} from 'node:net'
import type {Readable, Writable} from 'node:stream'
import {errnoOf} from '../../durable/index.js'
import {problem} from '../../errors/index.js'
import {type Channel, type ChannelOpen, openFailure, type SshConnection} from '../../ssh/index.js'
import {WireReader, WireWriter} from '../../sshcert/index.js'
import type {ChannelRouter} from './channel-router.js'
import {join} from './forwarding.js'
import {refusalOf} from './target-connection.js'
import {openTerminal, type RawTerminal} from './terminal.js'

/** What OpenSSH's client exits with when there is no status of the command to pass on. */
export const connectionFailedStatus = 255

export interface SessionOptions {
  connection: SshConnection
  router: ChannelRouter
  /** Undefined asks for a login shell. */
  command?: string | undefined
  terminal: boolean
  /** The ssh-agent to forward to the host. */
  forwardAgent?: string | undefined
  stdin: Readable & {isTTY?: boolean}
  stdout: Writable & {isTTY?: boolean; columns?: number; rows?: number}
  stderr: Writable
  env: NodeJS.ProcessEnv
}

/** Variables sshd is commonly configured to take (AcceptEnv LANG LC_*). */
const sentVariables = /^(LANG|LC_[A-Z]+)$/

/**
 * Runs a command or a shell on the host and relays it to the given streams, byte for byte, with back-pressure.
 * @returns the exit status of the remote command, 255 when it ended by a signal or the connection broke
 */
export async function runRemoteSession(options: SessionOptions): Promise<number> {
  const {connection} = options
  const channel = await connection.openChannel('session').catch(error => {
    throw refusalOf(error)
  })
  let status = connectionFailedStatus
  const ended = new Promise<void>(resolve => {
    channel.onClosed = resolve
  })
  channel.onRequest = ({type, data, reply}) => {
    if (type === 'exit-status') status = new WireReader(data).u32()
    reply(type === 'keepalive@openssh.com')
  }
  // Before anything runs the proxy may have to say why it does not yet.
  const output = Promise.all([drain(channel, options.stdout), drain(channel.stderr, options.stderr)])
  output.catch(() => channel.close())
  await requestSession(channel, options)
  const input = options.terminal ? attachTerminal(channel, options) : attachInput(channel, options.stdin)
  try {
    await ended
    await output
  } finally {
    input.restore()
  }
  return status
}

async function requestSession(channel: Channel, options: SessionOptions): Promise<void> {
  const {router, command, terminal, env, forwardAgent} = options
  if (forwardAgent !== undefined) {
    router.add('auth-agent@openssh.com', open => lendAgent(open, forwardAgent))
    void channel.request('auth-agent-req@openssh.com', undefined, false)
  }
  for (const [name, value] of Object.entries(env)) {
    if (value === undefined || !sentVariables.test(name)) continue
    void channel.request('env', new WireWriter().string(name).string(value).finish(), false)
  }
  if (terminal && !(await channel.request('pty-req', ptyRequest(options)))) {
    channel.close()
    throw problem('access_denied', 'the host gives you no terminal', {
      hint: 'your role or certificate may forbid it',
    })
  }
  const started =
    command === undefined
      ? await channel.request('shell')
      : await channel.request('exec', new WireWriter().string(command).finish())
  if (started || channel.isClosed) return
  channel.close()
  throw problem('target_refused', 'the host refused to start the command')
}

/** pty-req with no terminal modes: the host's defaults are right for a terminal in raw mode (RFC 4254 §6.2). */
const ptyRequest = ({stdout, env}: SessionOptions): Buffer =>
  new WireWriter()
    .string(env.TERM ?? 'xterm')
    .u32(stdout.columns || 80)
    .u32(stdout.rows || 24)
    .u32(0)
    .u32(0)
    .string(Buffer.of(0))
    .finish()

function lendAgent(open: ChannelOpen, socketPath: string): boolean {
  const socket = connectSocket({path: socketPath, allowHalfOpen: true})
  socket.once('error', () => open.reject(openFailure.connectFailed, 'the local ssh-agent does not answer'))
  socket.once('connect', () => join(open.accept(), socket))
  return true
}

/** Everything from `source` to `sink` without ending it: stdout belongs to the process. */
function drain(source: Readable, sink: Writable): Promise<void> {
  return new Promise((resolve, reject) => {
    source.on('data', chunk => {
      if (!sink.write(chunk)) source.pause()
    })
    sink.on('drain', () => source.resume())
    sink.on('error', error => {
      // `ssh host yes | head -1`: nobody reads any more, and the host should stop writing.
      if (errnoOf(error) !== 'EPIPE') reject(error)
      source.destroy()
      resolve()
    })
    source.on('end', () => sink.write('', () => resolve()))
  })
}

interface Input {
  restore(): void
}

function attachInput(channel: Channel, stdin: Readable): Input {
  stdin.pipe(channel)
  // A closed channel must not keep the process waiting for input that nobody will get.
  return {
    restore() {
      stdin.unpipe(channel)
      stdin.pause()
      stdin.destroy()
    },
  }
}

function attachTerminal(channel: Channel, {stdin, stdout}: SessionOptions): Input {
  if (!stdin.isTTY || !stdout.isTTY) return attachInput(channel, stdin)
  const terminal: RawTerminal = openTerminal({
    onData: data => channel.write(data),
    onResize: ({columns, rows}) => {
      const size = new WireWriter().u32(columns).u32(rows).u32(0).u32(0).finish()
      void channel.request('window-change', size, false)
    },
    onDisconnect: () => channel.close(),
    onEnd: () => channel.end(),
  })
  channel.on('drain', terminal.resume)
  return {restore: terminal.restore}
}
