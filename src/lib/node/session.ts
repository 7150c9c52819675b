import type {SessionOptions} from '../access/types.js'
import {
  clientEnd,
  readCommand,
  readWindowChange,
  relay,
  type ServedSessionParameters,
  type SessionExit,
  type SessionHandle,
  type TerminalSize,
} from '../session/index.js'
import type {Channel, ChannelRequest} from '../ssh/index.js'
import {WireWriter} from '../sshcert/index.js'
import {
  clientEnvironment,
  type NodeProcess,
  type ProcessExit,
  type Program,
  readTerminal,
  type Terminal,
} from './process/index.js'
import {chooseProgram, readSignal} from './requests.js'

/** What a program is started with, once it is known which. */
export interface Launch {
  program: Program
  terminal?: Terminal
  wished: ReadonlyMap<string, string>
  agent: boolean
  originalCommand?: string
}

/** The record does nothing where the forwarder keeps it. */
export interface SessionParameters extends ServedSessionParameters {
  channel: Channel
  options: SessionOptions
  /** The command that the certificate forces. */
  forcedCommand?: string
  launch(wish: Launch): Promise<NodeProcess>
  onX11(success: boolean): Promise<void>
  onResize(size: TerminalSize): void
}

export interface NodeSession extends SessionHandle {
  /** Types what somebody else has typed. The promise asks them to wait. */
  input(data: Buffer): Promise<void> | undefined
}

/** Serves one session: requests in order, then one program, whose output is on record before it is delivered. */
export function serveSession(parameters: SessionParameters): NodeSession {
  const {channel, options, record, onResize} = parameters
  const wished = clientEnvironment()
  let terminal: Terminal | undefined
  let agent = false
  let started = false
  let running: NodeProcess | undefined

  const end = clientEnd({
    ...parameters,
    barrier: () => Promise.resolve(),
    handle: request => handle(request),
    // Does nothing to a program that has ended.
    letGo: ended => (ended ? running?.kill() : running?.hangUp()),
  })

  const handle = async ({type, data}: ChannelRequest): Promise<boolean> => {
    switch (type) {
      case 'auth-agent-req@openssh.com':
        agent = options.agentForwarding
        // Never a failure: OpenSSH takes one for the end of the connection.
        return true
      case 'env':
        return wished.add(data)
      case 'pty-req':
        if (!options.pty || terminal || started) return false
        terminal = readTerminal(data)
        onResize(terminal)
        return true
      case 'window-change':
        return resize(readWindowChange(data))
      case 'x11-req':
        await parameters.onX11(false)
        return false
      case 'shell':
      case 'exec':
      case 'subsystem':
        return start(type, type === 'shell' ? undefined : readCommand(data))
      case 'signal':
        return running?.signal(readSignal(data)) ?? false
      case 'break':
        // Nothing to a terminal without a line behind it (tcsendbreak(3)).
        return running?.tty !== undefined
      case 'eow@openssh.com':
        stopOutput()
        return true
      case 'keepalive@openssh.com':
        return true
      default:
        return false
    }
  }

  const resize = (size: TerminalSize): boolean => {
    if (!terminal) return false
    Object.assign(terminal, size)
    running?.resize(size)
    record.resize(size)
    onResize(size)
    return true
  }

  /** The program finds its output closed, as before `| head` in a shell. */
  const stopOutput = (): void => {
    end.stopReading()
    if (!terminal) running?.stdout.destroy()
    void running?.exited.then(end.giveUpUnread)
  }

  const start = async (type: string, asked: string | undefined): Promise<boolean> => {
    if (started) return false
    const choice = chooseProgram(type, asked, parameters.forcedCommand)
    if (!choice) return false
    started = true
    const {program, command, original} = choice
    const files = program.kind === 'sftp'
    const subsystem = type === 'subsystem' ? asked : undefined
    if (!(await end.begin({subsystem, command, terminal, files}))) return false
    running = await parameters.launch({
      ...{program, wished: wished.variables, agent},
      ...(terminal && {terminal}),
      ...(original !== undefined && {originalCommand: original}),
    })
    end.watch(files ? 'subsystem' : 'exec', command)
    if (end.finishing) {
      if (end.ended) running.kill()
      else running.hangUp()
    }
    relayAll(running)
    return true
  }

  const relayAll = (program: NodeProcess): void => {
    const flushed = Promise.all([
      relay(program.stdout, channel, end.output('stdout')),
      program.stderr && relay(program.stderr, channel.stderr, end.output('stderr')),
    ])
    const input = relay(channel, program.stdin, end.input)
    channel.stderr.resume()
    void input.then(() => program.stdin.end())
    program.stdin.once('close', () => {
      // The client need not send the rest (PROTOCOL §2.1).
      if (channel.remoteEnded || channel.isClosed || end.ended) return
      void channel.request('eow@openssh.com', undefined, false)
    })
    void flushed.then(() => end.ended || channel.end())
    void program.exited.then(exit => end.noteExit(sessionExit(exit)))
    void Promise.all([program.exited, flushed]).then(([exit]) => {
      if (end.ended || end.finishing) return
      const [type, data] = exitRequest(exit)
      void channel.request(type, data, false)
      end.finish()
    })
  }

  return {
    end: end.end,
    recordingLost: end.recordingLost,
    tell: end.tell,
    input: data => running && end.typed(running.stdin, data),
  }
}

const sessionExit = (exit: ProcessExit): SessionExit =>
  'code' in exit ? {code: exit.code} : {signal: exit.signal}

/** exit-status or exit-signal (RFC 4254 §6.10). */
function exitRequest(exit: ProcessExit): [type: string, data: Buffer] {
  if ('code' in exit) return ['exit-status', new WireWriter().u32(exit.code).finish()]
  const signal = new WireWriter().string(exit.signal).bool(exit.coreDumped).string('').string('')
  return ['exit-signal', signal.finish()]
}
