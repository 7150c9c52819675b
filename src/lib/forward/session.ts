import type {SessionOptions} from '../access/types.js'
import {asProblem, problemLine, type SallyportError} from '../errors/index.js'
import type {Channel, ChannelRequest} from '../ssh/index.js'
import {WireWriter} from '../sshcert/index.js'
import {relay} from './relay.js'
import type {SessionRecord, SessionStart} from './session-record.js'
import {
  mayPassEnvironment,
  readCommand,
  readExit,
  readPtyRequest,
  readWindowChange,
  type SessionExit,
  type TerminalSize,
} from './session-requests.js'

/** OpenSSH's own exit status for "could not connect". */
const failureStatus = 255

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
  /** The session is over and its end is on record. Called once. */
  onDone(): void
  /** Something that no user can be told about any more. */
  onProblem(error: unknown): void
}

export interface ForwardedSession {
  /** Ends the session, telling the user why. */
  end(error: SallyportError): void
}

/**
 * Relays one session between a client's channel and a target's: requests are passed on in order once they are
 * allowed, output is recorded on its way. The recording has begun before the target is told to start anything.
 */
export function forwardSession(parameters: SessionParameters): ForwardedSession {
  const {local, record, options} = parameters
  let remote: Channel | undefined
  let terminal: (TerminalSize & {term: string}) | undefined
  let agentRequested = false
  let running = false
  let finished = false
  let received = 0
  let exit: SessionExit | undefined
  let failed: SallyportError | undefined
  let queue: Promise<void> = Promise.resolve()

  const connected = async (): Promise<Channel> => {
    if (failed) throw failed
    if (remote) return remote
    remote = await parameters.openRemote()
    if (local.isClosed) remote.close()
    if (agentRequested && options.agentForwarding)
      await remote.request('auth-agent-req@openssh.com', undefined, false)
    return remote
  }
  const pass = async ({type, data, wantReply}: ChannelRequest): Promise<boolean> =>
    (await connected()).request(type, data, wantReply)

  const start = async (request: ChannelRequest): Promise<boolean> => {
    if (running) return false
    const target = await connected()
    const command = request.type === 'shell' ? undefined : readCommand(request.data)
    if (request.type === 'subsystem') await parameters.onSubsystem(command ?? '')
    else await record.begin(sessionStart(command, terminal))
    running = true
    relaySession(target)
    if (local.isClosed) {
      target.close()
      return false
    }
    return target.request(request.type, request.data, true)
  }

  const relaySession = (target: Channel): void => {
    const recorded = record.begun
    const tap = (stream: 'stdout' | 'stderr') => (chunk: Buffer) => record.output(chunk, stream)
    const output = relay(target, local, recorded ? tap('stdout') : undefined)
    const errors = relay(target.stderr, local.stderr, recorded ? tap('stderr') : undefined)
    const flushed = Promise.all([output, errors]).then(() => undefined)
    const input = relay(local, target, chunk => {
      received += chunk.length
      return undefined
    })
    local.stderr.resume()
    void input.then(() => target.end())
    void flushed.then(() => local.end())
    target.onRequest = request => {
      if (request.type === 'exit-status' || request.type === 'exit-signal') {
        exit = readExit(request.type, request.data)
        // The client may leave as soon as it knows the status, so it comes after the last byte.
        void flushed.then(() => local.request(request.type, request.data, false))
      } else if (request.type === 'eow@openssh.com' || request.type === 'xon-xoff') {
        void local.request(request.type, request.data, false)
      }
      request.reply(request.type === 'keepalive@openssh.com')
    }
    target.onClosed = () => void flushed.then(finish)
    if (target.isClosed) void flushed.then(finish)
  }

  const finish = async (): Promise<void> => {
    if (finished) return
    finished = true
    // Durable first: whoever sees the session end may look for its recording at once.
    await record.finish(exit, received).catch(parameters.onProblem)
    local.close()
    remote?.close()
    parameters.onDone()
  }

  /** Ends after the channel was accepted reach the user as text and a status, as from a failing command. */
  const explainEnd = (error: SallyportError): void => {
    local.stderr.write(`sallyport: ${problemLine(error)}\r\n`, () => {
      void local.request('exit-status', new WireWriter().u32(failureStatus).finish(), false)
      void finish()
    })
  }

  const handle = async (request: ChannelRequest): Promise<boolean> => {
    switch (request.type) {
      case 'auth-agent-req@openssh.com':
        agentRequested = true
        parameters.onAgentRequested()
        if (remote && options.agentForwarding) await remote.request(request.type, request.data, false)
        // Never a failure: OpenSSH takes one for the end of the connection.
        return true
      case 'env':
        return mayPassEnvironment(request.data) && pass(request)
      case 'pty-req':
        if (!options.pty) return false
        terminal = readPtyRequest(request.data)
        return pass(request)
      case 'window-change':
        record.resize(readWindowChange(request.data))
        return pass(request)
      case 'x11-req':
        await parameters.onX11(options.x11Forwarding)
        return options.x11Forwarding && pass(request)
      case 'shell':
      case 'exec':
      case 'subsystem':
        return start(request)
      case 'signal':
      case 'break':
      case 'eow@openssh.com':
        return pass(request)
      case 'keepalive@openssh.com':
        return true
      default:
        return false
    }
  }

  local.onRequest = request => {
    queue = queue.then(async () => {
      try {
        if (!failed) return request.reply(await handle(request))
      } catch (error) {
        failed = asProblem(error)
      }
      // Success, so that the client listens to what stderr says instead of printing its own guess.
      request.reply(true)
      if (startsProgram.has(request.type) && failed) explainEnd(failed)
    })
  }
  local.onClosed = () => void finish()
  return {end: explainEnd}
}

const startsProgram: ReadonlySet<string> = new Set(['shell', 'exec', 'subsystem'])

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
