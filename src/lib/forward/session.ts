import type {SessionOptions} from '../access/types.js'
import {problem, type SallyportError} from '../errors/index.js'
import {
  type ClientEnd,
  clientEnd,
  mayPassEnvironment,
  readCommand,
  readExit,
  readPtyRequest,
  readWindowChange,
  relay,
  type ServedSessionParameters,
  type SessionHandle,
  type TerminalSize,
} from '../session/index.js'
import type {Channel, ChannelRequest} from '../ssh/index.js'

/** Requests of its own that a target may make of the client's session besides the exit status. */
const maxTargetRequests = 64
const fileSubsystem = 'sftp'

export interface SessionParameters extends ServedSessionParameters {
  local: Channel
  /** Opens the session channel on the target. Called once, when the first request that is not about agents comes. */
  openRemote(): Promise<Channel>
  options: SessionOptions
  /** The client asked for agent forwarding on this session. */
  onAgentRequested(): void
  onX11(success: boolean): Promise<void>
}

export interface ForwardedSession extends SessionHandle {
  /** The connection to the target is gone: what it had sent is still delivered, and then the reason. */
  targetLost(error: SallyportError): void
  /** Types what somebody else has typed. The promise asks them to wait. */
  input(data: Buffer): Promise<void> | undefined
}

/**
 * Relays one session between a client's channel and a target's: requests are passed on in order once they are
 * allowed, output is recorded on its way. The recording has begun before the target is told to start anything.
 */
export function forwardSession(parameters: SessionParameters): ForwardedSession {
  const {local, options} = parameters
  let remote: Channel | undefined
  let terminal: (TerminalSize & {term: string}) | undefined
  let agentRequested = false
  let running = false
  let lost: SallyportError | undefined

  const end = clientEnd({
    ...parameters,
    channel: local,
    barrier: async () => void (await remote?.request('keepalive@openssh.com')),
    handle: request => handle(request),
    letGo: () => remote?.close(),
  })

  const connected = async (): Promise<Channel> => {
    if (remote) return remote
    if (end.finishing) throw goneBefore()
    const opened = await parameters.openRemote()
    remote = opened
    if (end.finishing) {
      opened.close()
      throw goneBefore()
    }
    if (agentRequested && options.agentForwarding)
      await opened.request('auth-agent-req@openssh.com', undefined, false)
    return opened
  }
  const pass = async ({type, data, wantReply}: ChannelRequest): Promise<boolean> =>
    (await connected()).request(type, data, wantReply)

  const handle = async (request: ChannelRequest): Promise<boolean> => {
    const {record, onAgentRequested, onX11} = parameters
    switch (request.type) {
      case 'auth-agent-req@openssh.com':
        agentRequested = true
        onAgentRequested()
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
        // The host has a say in the session's ID, under which this goes on record.
        await connected()
        await onX11(options.x11Forwarding)
        return options.x11Forwarding && pass(request)
      case 'shell':
      case 'exec':
      case 'subsystem':
        return start(request)
      case 'signal':
      case 'break':
        return pass(request)
      case 'eow@openssh.com':
        end.stopReading()
        return pass(request)
      case 'keepalive@openssh.com':
        return true
      default:
        return false
    }
  }

  const start = async (request: ChannelRequest): Promise<boolean> => {
    if (running) return false
    const target = await connected()
    if (lost) throw lost
    const {type} = request
    const command = type === 'shell' ? undefined : readCommand(request.data)
    const subsystem = type === 'subsystem' ? command : undefined
    if (!(await end.begin({subsystem, command, terminal, files: subsystem === fileSubsystem}))) return false
    running = true
    end.watch(subsystem === undefined ? 'exec' : 'subsystem', command)
    relayAll(target)
    return target.request(type, request.data, true)
  }

  const relayAll = (target: Channel): void => {
    const flushed = Promise.all([
      relay(target, local, end.output('stdout')),
      relay(target.stderr, local.stderr, end.output('stderr')),
    ])
    const input = relay(local, target, end.input)
    local.stderr.resume()
    void input.then(() => target.end())
    void flushed.then(() => {
      if (!end.ended && !lost) local.end()
    })
    listenTo(target, local, end, flushed)
    const targetClosed = (): void => {
      if (lost && !end.exit) end.end(lost)
      else end.finish()
    }
    const over = (): void => {
      void flushed.then(nextTurn).then(targetClosed)
      end.giveUpUnread()
    }
    if (target.isClosed) over()
    else target.onClosed = over
  }

  return {
    end: end.end,
    recordingLost: end.recordingLost,
    tell: end.tell,
    input: data => (remote && running ? end.typed(remote, data) : undefined),
    targetLost(error) {
      lost = error
      if (!running) end.end(error)
    },
  }
}

/** What a target may say about its session besides output: how it ended, and little else. */
function listenTo(target: Channel, local: Channel, end: ClientEnd, flushed: Promise<unknown>): void {
  let budget = maxTargetRequests
  target.onRequest = ({type, data, reply}) => {
    if (type === 'exit-status' || type === 'exit-signal') {
      if (end.exit) return reply(false)
      end.noteExit(readExit(type, data))
      // The client may leave as soon as it knows the status, so it comes after the last byte.
      void flushed.then(() => end.ended || local.request(type, data, false))
    } else if ((type === 'eow@openssh.com' || type === 'xon-xoff') && budget-- > 0) {
      void local.request(type, data, false)
    }
    reply(type === 'keepalive@openssh.com')
  }
}

const goneBefore = (): SallyportError => problem('cancelled', 'the session ended before it began')

/** A connection that breaks closes its channels first and says so afterwards. */
const nextTurn = (): Promise<void> => new Promise(resolve => setImmediate(resolve))
