import type {SessionOptions} from '../access/types.js'
import {asProblem, problem, problemLine, type SallyportError} from '../errors/index.js'
import {
  mayPassEnvironment,
  type RequestQueue,
  readCommand,
  readExit,
  readPtyRequest,
  readWindowChange,
  relay,
  requestQueue,
  type SessionExit,
  type SessionRecord,
  type SessionStart,
  type TerminalSize,
  type TransferWatch,
  unseenTransfer,
} from '../session/index.js'
import type {Channel, ChannelRequest} from '../ssh/index.js'
import {WireWriter} from '../sshcert/index.js'

/** OpenSSH's own exit status for "could not connect". */
const failureStatus = 255
/** A user who does not read is not waited for longer than this with the reason for the end. */
const farewellMilliseconds = 1000
/** Requests of its own that a target may make of the client's session besides the exit status. */
const maxTargetRequests = 64
/** Each of its files is told of by an event; the protocol would make no recording to watch. */
const unrecordedSubsystem = 'sftp'

export interface SessionParameters {
  local: Channel
  /** Opens the session channel on the target. Called once, when the first request that is not about agents comes. */
  openRemote(): Promise<Channel>
  options: SessionOptions
  record: SessionRecord
  /** The client asked for agent forwarding on this session. */
  onAgentRequested(): void
  onSubsystem(name: string): Promise<void>
  onX11(success: boolean): Promise<void>
  /** Nobody may type now. */
  holdsInput?(): boolean
  /** Watches the files that pass, where that is what the session is for. */
  watchTransfer(kind: string, command: string | undefined): TransferWatch | undefined
  /** Bytes passed, either way. */
  onActivity(): void
  /** The session is over and its end is on record. Called once. */
  onDone(): void
  /** Something that no user can be told about any more. */
  onProblem(error: unknown): void
}

export interface ForwardedSession {
  /** Ends the session, telling the user why; nothing more of the target reaches the user. */
  end(error: SallyportError): void
  /**
   * The session cannot be recorded any more. A strict one ends, and its user gets nothing that was not on its way yet;
   * any other goes on, and its user is told.
   */
  recordingLost(error: SallyportError): void
  /** The connection to the target is gone: what it had sent is still delivered, and then the reason. */
  targetLost(error: SallyportError): void
  /** Types what somebody else has typed. The promise asks them to wait. */
  input(data: Buffer): Promise<void> | undefined
  /** A line for the user, beside the output. */
  tell(line: string): void
}

/**
 * Relays one session between a client's channel and a target's: requests are passed on in order once they are
 * allowed, output is recorded on its way. The recording has begun before the target is told to start anything.
 */
export function forwardSession(parameters: SessionParameters): ForwardedSession {
  const session = new Session(parameters)
  return {
    end: error => session.end(error),
    recordingLost: error => session.recordingLost(error),
    targetLost: error => session.targetLost(error),
    input: data => session.input(data),
    tell: line => session.tell(line),
  }
}

class Session {
  readonly #parameters: SessionParameters
  readonly #local: Channel
  readonly #requests: RequestQueue
  #remote: Channel | undefined
  #terminal: (TerminalSize & {term: string}) | undefined
  #agentRequested = false
  #running = false
  #transfer: TransferWatch | undefined
  #received = 0
  #exit: SessionExit | undefined
  /** Why the session cannot begin. Told when the program is asked for, which is when the client listens. */
  #refusal: SallyportError | undefined
  #lost: SallyportError | undefined
  /** Set when the session is ended from here: from then on nothing is delivered. */
  #ended = false
  /** The client does not read stdout any more (eow@openssh.com). */
  #unread = false
  #finishing: Promise<void> | undefined

  constructor(parameters: SessionParameters) {
    this.#parameters = parameters
    this.#local = parameters.local
    this.#requests = requestQueue(request => this.#answer(request), {
      barrier: async () => void (await this.#remote?.request('keepalive@openssh.com')),
      onFlood: error => this.end(error),
    })
    this.#local.awaitsStatus = true
    this.#local.onRequest = request => this.#requests.push(request)
    if (this.#local.isClosed) void this.#finish()
    else this.#local.onClosed = () => void this.#finish()
  }

  /** Ends after the channel was accepted reach the user as text and a status, as from a failing command. */
  end(error: SallyportError): void {
    if (this.#ended || this.#finishing) return
    this.#ended = true
    this.#exit ??= {reason: error.message}
    void this.#finish(this.#farewell(error))
  }

  recordingLost(error: SallyportError): void {
    if (this.#ended || this.#finishing) return
    if (this.#parameters.options.recordSession === 'strict') {
      this.#local.dropUnsent()
      this.end(error)
    } else {
      this.tell(`the session goes on unrecorded: ${problemLine(error)}`)
    }
  }

  tell(line: string): void {
    // On a terminal there may be a prompt in the line.
    const fresh = this.#terminal && this.#running ? '\r\n' : ''
    if (!this.#local.writableEnded) this.#local.stderr.write(`${fresh}sallyport: ${line}\r\n`)
  }

  input(data: Buffer): Promise<void> | undefined {
    const target = this.#remote
    if (!target || !this.#running || this.#ended || target.writableEnded) return undefined
    // Files that somebody else sends would pass for the user's.
    if (this.#transfer) return undefined
    this.#parameters.onActivity()
    this.#received += data.length
    if (target.write(data)) return undefined
    return new Promise(resolve => {
      target.once('drain', resolve)
      target.once('close', resolve)
    })
  }

  targetLost(error: SallyportError): void {
    this.#lost = error
    if (!this.#running) this.end(error)
  }

  async #farewell(error: SallyportError): Promise<void> {
    const {stderr} = this.#local
    let timer: NodeJS.Timeout | undefined
    await new Promise<void>(resolve => {
      timer = setTimeout(resolve, farewellMilliseconds)
      stderr.write(`sallyport: ${problemLine(error)}\r\n`, () => resolve())
    })
    clearTimeout(timer)
    void this.#local.request('exit-status', new WireWriter().u32(failureStatus).finish(), false)
  }

  #finish(farewell: Promise<void> = Promise.resolve()): Promise<void> {
    this.#finishing ??= this.#conclude(farewell)
    return this.#finishing
  }

  async #conclude(farewell: Promise<void>): Promise<void> {
    const {record, onProblem, onDone} = this.#parameters
    // Nothing runs on that nobody watches.
    this.#remote?.close()
    const recorded = (async () => {
      await this.#transfer?.finish()
      await record.finish(this.#exit, this.#received)
    })()
    // Durable first: whoever sees the session end may look for its recording at once.
    await Promise.all([recorded.catch(onProblem), farewell])
    this.#local.close()
    onDone()
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

  async #handle(request: ChannelRequest): Promise<boolean> {
    const {options, record, onAgentRequested, onX11} = this.#parameters
    switch (request.type) {
      case 'auth-agent-req@openssh.com':
        this.#agentRequested = true
        onAgentRequested()
        if (this.#remote && options.agentForwarding) {
          await this.#remote.request(request.type, request.data, false)
        }
        // Never a failure: OpenSSH takes one for the end of the connection.
        return true
      case 'env':
        return mayPassEnvironment(request.data) && this.#pass(request)
      case 'pty-req':
        if (!options.pty) return false
        this.#terminal = readPtyRequest(request.data)
        return this.#pass(request)
      case 'window-change':
        record.resize(readWindowChange(request.data))
        return this.#pass(request)
      case 'x11-req':
        // The host has a say in the session's ID, under which this goes on record.
        await this.#connected()
        await onX11(options.x11Forwarding)
        return options.x11Forwarding && this.#pass(request)
      case 'shell':
      case 'exec':
      case 'subsystem':
        return this.#start(request)
      case 'signal':
      case 'break':
        return this.#pass(request)
      case 'eow@openssh.com':
        // OpenSSH grants no window any more for what it had not written: waiting for it would be for ever.
        this.#unread = true
        this.#local.dropUnsent()
        return this.#pass(request)
      case 'keepalive@openssh.com':
        return true
      default:
        return false
    }
  }

  async #connected(): Promise<Channel> {
    if (this.#remote) return this.#remote
    if (this.#finishing) throw goneBefore()
    const remote = await this.#parameters.openRemote()
    this.#remote = remote
    if (this.#finishing) {
      remote.close()
      throw goneBefore()
    }
    if (this.#agentRequested && this.#parameters.options.agentForwarding)
      await remote.request('auth-agent-req@openssh.com', undefined, false)
    return remote
  }

  async #pass({type, data, wantReply}: ChannelRequest): Promise<boolean> {
    const remote = await this.#connected()
    return remote.request(type, data, wantReply)
  }

  async #start(request: ChannelRequest): Promise<boolean> {
    if (this.#running) return false
    const target = await this.#connected()
    if (this.#lost) throw this.#lost
    const command = request.type === 'shell' ? undefined : readCommand(request.data)
    const recorded = request.type !== 'subsystem' || command !== unrecordedSubsystem
    if (!recorded && this.#parameters.options.oversight) throw unseenTransfer()
    if (recorded) await this.#parameters.record.begin(sessionStart(command, this.#terminal))
    if (request.type === 'subsystem') await this.#parameters.onSubsystem(command ?? '')
    // The client may have left while the disk was busy.
    if (this.#finishing) return false
    this.#running = true
    this.#transfer = this.#parameters.watchTransfer(request.type, command)
    this.#relay(target, recorded)
    return target.request(request.type, request.data, true)
  }

  #relay(target: Channel, recorded: boolean): void {
    const local = this.#local
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
      relay(target, local, tap('stdout')),
      relay(target.stderr, local.stderr, tap('stderr')),
    ])
    const input = relay(local, target, chunk => {
      onActivity()
      if (this.#ended || this.#parameters.holdsInput?.()) return false
      this.#received += chunk.length
      return this.#transfer?.input(chunk)
    })
    local.stderr.resume()
    void input.then(() => target.end())
    void flushed.then(() => {
      if (!this.#ended && !this.#lost) local.end()
    })
    this.#listenTo(target, flushed)
    const over = (): void => {
      void flushed.then(nextTurn).then(() => this.#targetClosed())
      // Last words on stderr may find no window either.
      if (this.#unread) setTimeout(() => local.dropUnsent(), farewellMilliseconds).unref()
    }
    if (target.isClosed) over()
    else target.onClosed = over
  }

  #targetClosed(): void {
    if (this.#lost && !this.#exit) this.end(this.#lost)
    else void this.#finish()
  }

  #listenTo(target: Channel, flushed: Promise<unknown>): void {
    let budget = maxTargetRequests
    target.onRequest = ({type, data, reply}) => {
      if (type === 'exit-status' || type === 'exit-signal') {
        if (this.#exit) return reply(false)
        this.#exit = readExit(type, data)
        // The client may leave as soon as it knows the status, so it comes after the last byte.
        void flushed.then(() => this.#ended || this.#local.request(type, data, false))
      } else if ((type === 'eow@openssh.com' || type === 'xon-xoff') && budget-- > 0) {
        void this.#local.request(type, data, false)
      }
      reply(type === 'keepalive@openssh.com')
    }
  }
}

const startsProgram: ReadonlySet<string> = new Set(['shell', 'exec', 'subsystem'])

const goneBefore = (): SallyportError => problem('cancelled', 'the session ended before it began')

/** A connection that breaks closes its channels first and says so afterwards. */
const nextTurn = (): Promise<void> => new Promise(resolve => setImmediate(resolve))

function sessionStart(
  command: string | undefined,
  terminal: (TerminalSize & {term: string}) | undefined,
): SessionStart {
  return {
    interactive: command === undefined,
    ...(command !== undefined && {command}),
    ...(terminal && {size: {columns: terminal.columns, rows: terminal.rows}, term: terminal.term}),
  }
}
