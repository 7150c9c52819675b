import type {SessionOptions} from '../access/types.js'
import {asProblem, problemLine, type SallyportError} from '../errors/index.js'
import {
  type RequestQueue,
  readCommand,
  readWindowChange,
  relay,
  requestQueue,
  type SessionExit,
  type SessionRecord,
  type TerminalSize,
  type TransferWatch,
  unseenTransfer,
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
import {type Choice, chooseProgram, readSignal} from './requests.js'

/** OpenSSH's own exit status for what did not come about. */
const failureStatus = 255
/** A user who does not read is not waited for longer than this with the reason for the end. */
const farewellMilliseconds = 1000

/** What a program is started with, once it is known which. */
export interface Launch {
  program: Program
  terminal?: Terminal
  wished: ReadonlyMap<string, string>
  agent: boolean
  originalCommand?: string
}

export interface SessionParameters {
  channel: Channel
  options: SessionOptions
  /** The command that the certificate forces. */
  forcedCommand?: string
  /** The user's sessions need somebody who looks on, and the record is kept here. */
  overseen: boolean
  /** Nobody may type now. */
  holdsInput(): boolean
  /** Does nothing where the forwarder keeps the record. */
  record: SessionRecord
  launch(wish: Launch): Promise<NodeProcess>
  onSubsystem(name: string): Promise<void>
  onX11(success: boolean): Promise<void>
  /** Watches the files that pass, where that is what the session is for. */
  watchTransfer(kind: string, command: string | undefined): TransferWatch | undefined
  onResize(size: TerminalSize): void
  /** Bytes passed, either way. */
  onActivity(): void
  /** The session is over and its end is on record. Called once. */
  onDone(): void
  /** Something that no user can be told about any more. */
  onProblem(error: unknown): void
}

export interface NodeSession {
  /** Ends the session by force, telling the user why; nothing more of the program reaches the user. */
  end(error: SallyportError): void
  /** The session cannot be recorded any more. A strict one ends; any other goes on, and its user is told. */
  recordingLost(error: SallyportError): void
  /** Types what somebody else has typed. The promise asks them to wait. */
  input(data: Buffer): Promise<void> | undefined
  /** A line for the user, beside the output. */
  tell(line: string): void
}

/** Serves one session: requests in order, then one program, whose output is on record before it is delivered. */
export function serveSession(parameters: SessionParameters): NodeSession {
  const session = new Session(parameters)
  return {
    end: error => session.end(error),
    recordingLost: error => session.recordingLost(error),
    input: data => session.input(data),
    tell: line => session.tell(line),
  }
}

class Session {
  readonly #parameters: SessionParameters
  readonly #channel: Channel
  readonly #requests: RequestQueue
  readonly #wished = clientEnvironment()
  #terminal: Terminal | undefined
  #agent = false
  #started = false
  #process: NodeProcess | undefined
  #transfer: TransferWatch | undefined
  #received = 0
  #exit: SessionExit | undefined
  /** Why the session cannot begin. Told when the program is asked for, which is when the client listens. */
  #refusal: SallyportError | undefined
  /** Set when the session is ended from here: from then on nothing is delivered. */
  #ended = false
  /** The client does not read stdout any more (eow@openssh.com). */
  #unread = false
  #finishing: Promise<void> | undefined

  constructor(parameters: SessionParameters) {
    this.#parameters = parameters
    this.#channel = parameters.channel
    this.#requests = requestQueue(request => this.#answer(request), {
      barrier: () => Promise.resolve(),
      onFlood: error => this.end(error),
    })
    this.#channel.awaitsStatus = true
    this.#channel.onRequest = request => this.#requests.push(request)
    if (this.#channel.isClosed) void this.#finish()
    else this.#channel.onClosed = () => void this.#finish()
  }

  end(error: SallyportError): void {
    if (this.#ended || this.#finishing) return
    this.#ended = true
    this.#exit ??= {reason: error.message}
    void this.#finish(this.#farewell(error))
  }

  recordingLost(error: SallyportError): void {
    if (this.#ended || this.#finishing) return
    if (this.#parameters.options.recordSession === 'strict') {
      this.#channel.dropUnsent()
      this.end(error)
    } else {
      this.tell(`the session goes on unrecorded: ${problemLine(error)}`)
    }
  }

  tell(line: string): void {
    if (!this.#channel.writableEnded) this.#channel.stderr.write(`sallyport: ${line}\r\n`)
  }

  input(data: Buffer): Promise<void> | undefined {
    const stdin = this.#process?.stdin
    if (!stdin?.writable || this.#ended) return undefined
    // Files that somebody else sends would pass for the user's.
    if (this.#transfer) return undefined
    this.#parameters.onActivity()
    this.#received += data.length
    if (stdin.write(data)) return undefined
    return new Promise(resolve => {
      stdin.once('drain', resolve)
      stdin.once('close', resolve)
    })
  }

  async #farewell(error: SallyportError): Promise<void> {
    const {stderr} = this.#channel
    let timer: NodeJS.Timeout | undefined
    await new Promise<void>(resolve => {
      timer = setTimeout(resolve, farewellMilliseconds)
      stderr.write(`sallyport: ${problemLine(error)}\r\n`, () => resolve())
    })
    clearTimeout(timer)
    void this.#channel.request('exit-status', new WireWriter().u32(failureStatus).finish(), false)
  }

  #finish(farewell: Promise<void> = Promise.resolve()): Promise<void> {
    this.#finishing ??= this.#conclude(farewell)
    return this.#finishing
  }

  async #conclude(farewell: Promise<void>): Promise<void> {
    const {record, onProblem, onDone} = this.#parameters
    this.#letGo()
    const recorded = (async () => {
      await this.#transfer?.finish()
      await record.finish(this.#exit, this.#received)
    })()
    // Durable first: whoever sees the session end may look for its recording at once.
    await Promise.all([recorded.catch(onProblem), farewell])
    this.#channel.close()
    onDone()
  }

  /** Nothing runs on that nobody watches; does nothing to a program that has ended. */
  #letGo(): void {
    if (this.#ended) this.#process?.kill()
    else this.#process?.hangUp()
  }

  async #answer(request: ChannelRequest): Promise<void> {
    try {
      if (!this.#refusal) return request.reply(await this.#handle(request))
    } catch (error) {
      this.#refusal = asProblem(error)
    }
    // Success, so that the client listens to what stderr says instead of printing its own guess.
    request.reply(true)
    if (startsProgram.has(request.type)) this.end(this.#refusal)
  }

  async #handle({type, data}: ChannelRequest): Promise<boolean> {
    const {options, onX11} = this.#parameters
    switch (type) {
      case 'auth-agent-req@openssh.com':
        this.#agent = options.agentForwarding
        // Never a failure: OpenSSH takes one for the end of the connection.
        return true
      case 'env':
        return this.#wished.add(data)
      case 'pty-req':
        if (!options.pty || this.#terminal || this.#started) return false
        this.#setTerminal(readTerminal(data))
        return true
      case 'window-change':
        return this.#resize(readWindowChange(data))
      case 'x11-req':
        await onX11(false)
        return false
      case 'shell':
      case 'exec':
      case 'subsystem':
        return this.#start(type, type === 'shell' ? undefined : readCommand(data))
      case 'signal':
        return this.#process?.signal(readSignal(data)) ?? false
      case 'break':
        // Nothing to a terminal without a line behind it (tcsendbreak(3)).
        return this.#process?.tty !== undefined
      case 'eow@openssh.com':
        this.#stopOutput()
        return true
      case 'keepalive@openssh.com':
        return true
      default:
        return false
    }
  }

  #setTerminal(terminal: Terminal): void {
    this.#terminal = terminal
    this.#parameters.onResize(terminal)
  }

  #resize(size: TerminalSize): boolean {
    if (!this.#terminal) return false
    Object.assign(this.#terminal, size)
    this.#process?.resize(size)
    this.#parameters.record.resize(size)
    this.#parameters.onResize(size)
    return true
  }

  /** The client reads no more (PROTOCOL §2.1): the program finds its output closed, as before `| head` in a shell. */
  #stopOutput(): void {
    // OpenSSH grants no window any more for what it had not written: waiting for it would be for ever.
    this.#unread = true
    this.#channel.dropUnsent()
    if (!this.#terminal) this.#process?.stdout.destroy()
    // Last words on stderr may find no window either.
    void this.#process?.exited.then(() => {
      setTimeout(() => this.#channel.dropUnsent(), farewellMilliseconds).unref()
    })
  }

  async #start(type: string, asked: string | undefined): Promise<boolean> {
    if (this.#started) return false
    const choice = chooseProgram(type, asked, this.#parameters.forcedCommand)
    if (!choice) return false
    this.#started = true
    const {record, launch, onSubsystem} = this.#parameters
    const {program, command, original} = choice
    // Each of its files is told of by an event; the protocol would make no recording to watch.
    const recorded = program.kind !== 'sftp'
    if (!recorded && this.#parameters.overseen) throw unseenTransfer()
    if (recorded) await record.begin(sessionStart(command, this.#terminal))
    if (type === 'subsystem') await onSubsystem(asked ?? '')
    // The client may have left while the disk was busy.
    if (this.#finishing) return false
    const started = await launch({
      ...{program, wished: this.#wished.variables, agent: this.#agent},
      ...(this.#terminal && {terminal: this.#terminal}),
      ...(original !== undefined && {originalCommand: original}),
    })
    this.#process = started
    this.#transfer = this.#parameters.watchTransfer(program.kind === 'sftp' ? 'subsystem' : 'exec', command)
    if (this.#finishing) this.#letGo()
    this.#relay(started, recorded)
    return true
  }

  #relay(running: NodeProcess, recorded: boolean): void {
    const channel = this.#channel
    const {record, onActivity} = this.#parameters
    const tap = (stream: 'stdout' | 'stderr') => (chunk: Buffer) => {
      onActivity()
      if (this.#ended || (this.#unread && stream === 'stdout')) return false
      const seen = stream === 'stdout' ? this.#transfer?.output(chunk) : undefined
      if (this.#ended) return false
      const hold = recorded ? record.output(seen?.shown ?? chunk, stream, chunk.length) : undefined
      // One promise is enough: the next bytes ask again.
      return hold ?? seen?.wait
    }
    const flushed = Promise.all([
      relay(running.stdout, channel, tap('stdout')),
      running.stderr && relay(running.stderr, channel.stderr, tap('stderr')),
    ])
    const input = relay(channel, running.stdin, chunk => {
      onActivity()
      if (this.#ended || this.#parameters.holdsInput()) return false
      this.#received += chunk.length
      return this.#transfer?.input(chunk)
    })
    channel.stderr.resume()
    void input.then(() => running.stdin.end())
    running.stdin.once('close', () => this.#inputOver())
    void flushed.then(() => this.#ended || channel.end())
    void running.exited.then(exit => {
      this.#exit ??= sessionExit(exit)
    })
    void Promise.all([running.exited, flushed]).then(([exit]) => this.#exited(exit))
  }

  /** The program has closed its input: the client need not send the rest (PROTOCOL §2.1). */
  #inputOver(): void {
    if (this.#channel.remoteEnded || this.#channel.isClosed || this.#ended) return
    void this.#channel.request('eow@openssh.com', undefined, false)
  }

  #exited(exit: ProcessExit): void {
    if (this.#ended || this.#finishing) return
    const [type, data] = exitRequest(exit)
    void this.#channel.request(type, data, false)
    void this.#finish()
  }
}

const startsProgram: ReadonlySet<string> = new Set(['shell', 'exec', 'subsystem'])

const sessionExit = (exit: ProcessExit): SessionExit =>
  'code' in exit ? {code: exit.code} : {signal: exit.signal}

/** exit-status or exit-signal (RFC 4254 §6.10). */
function exitRequest(exit: ProcessExit): [type: string, data: Buffer] {
  if ('code' in exit) return ['exit-status', new WireWriter().u32(exit.code).finish()]
  const signal = new WireWriter().string(exit.signal).bool(exit.coreDumped).string('').string('')
  return ['exit-signal', signal.finish()]
}

function sessionStart(command: Choice['command'], terminal: Terminal | undefined) {
  return {
    interactive: command === undefined,
    ...(command !== undefined && {command}),
    ...(terminal && {size: {columns: terminal.columns, rows: terminal.rows}, term: terminal.term}),
  }
}
