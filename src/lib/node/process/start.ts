import type {ChildProcess} from 'node:child_process'
import type {Socket} from 'node:net'
import {PassThrough, type Readable} from 'node:stream'
import {runToEnd, type StandardStreams, startChild, startProblem} from '../../children/index.js'
import {problem, SallyportError} from '../../errors/index.js'
import {
  asUser,
  commandLine,
  environmentDescriptor,
  environmentScript,
  findBash,
  type Launch,
  launchEnvironment,
} from './launch.js'
import {type OutputPipes, openOutputPipes} from './pipes.js'
import {killSessionMembers, tryKill} from './session-members.js'
import {findSftpServer} from './sftp-server.js'
import {isSignalName, processExit} from './signals.js'
import {type OpenTerminal, openTerminal} from './terminal.js'
import type {Account, NodeProcess, ProcessExit, ProcessSpec, Terminal} from './types.js'

/** How long a program may go on after SIGHUP, ms: time to save, as editors do. */
const hangUpMilliseconds = 5000
/** The same where the session is ended by force. */
const killMilliseconds = 1000
const bufferBytes = 64 * 1024

/** The parts of a running program that differ with and without a terminal. */
interface Streams extends Pick<NodeProcess, 'tty' | 'stdin' | 'stdout' | 'stderr' | 'resize'> {
  exited(): void
  close(): void
}

/**
 * Starts what a session asked for: as the account with all its groups, in its home or in `/`, as the leader of a new
 * process session, with no descriptor besides its own three.
 * @throws access_denied another account than ours, and we are not root
 * @throws unavailable something that it takes is missing on this host
 */
export async function startProcess(spec: ProcessSpec): Promise<NodeProcess> {
  const asRoot = process.getuid?.() === 0
  if (!asRoot && spec.account.uid !== process.getuid?.()) {
    throw problem('access_denied', 'this node does not run as root and serves its own user only')
  }
  const sftpServer = spec.program.kind === 'sftp' ? findSftpServer() : undefined
  return spec.terminal
    ? startOnTerminal(spec, spec.terminal, asRoot, sftpServer)
    : startOnPipes(spec, asRoot, sftpServer)
}

async function startOnTerminal(
  spec: ProcessSpec,
  asked: Terminal,
  asRoot: boolean,
  sftpServer: string | undefined,
): Promise<NodeProcess> {
  const terminal = await openTerminal(asked, spec.account, asRoot)
  try {
    const {descriptor, path: tty} = terminal
    const environment = {...spec.environment, TERM: asked.term || 'dumb', SSH_TTY: tty}
    const launch = {...{asRoot, tty}, ...(sftpServer !== undefined && {sftpServer})}
    const child = await spawned({...spec, environment}, launch, [descriptor, descriptor, descriptor])
    return nodeProcess(child, spec.account, asRoot, onTerminal(terminal))
  } catch (error) {
    terminal.close()
    throw error
  }
}

async function startOnPipes(
  spec: ProcessSpec,
  asRoot: boolean,
  sftpServer: string | undefined,
): Promise<NodeProcess> {
  const pipes = await openOutputPipes(spec.account, asRoot)
  try {
    const launch = {asRoot, ...(sftpServer !== undefined && {sftpServer})}
    const child = await spawned(spec, launch, ['pipe', ...(pipes?.ends ?? (['pipe', 'pipe'] as const))])
    pipes?.handOver()
    const [stdin, stdout, stderr] = child.stdio as unknown as [Socket, Socket, Socket]
    return nodeProcess(child, spec.account, asRoot, onPipes(stdin, pipes ?? {stdout, stderr}))
  } catch (error) {
    pipes?.close()
    throw error
  }
}

type Started = ChildProcess & {pid: number}

/** Starts the command line and sends the environment after it. */
async function spawned(
  {account, program, environment}: ProcessSpec,
  launch: Pick<Launch, 'asRoot' | 'tty' | 'sftpServer'>,
  standard: readonly ['pipe' | number, 'pipe' | number, 'pipe' | number],
): Promise<Started> {
  const command = commandLine({...launch, account, program, bash: findBash()})
  const child = await spawnChild(command, [...standard, 'pipe'])
  const channel = child.stdio[environmentDescriptor] as Socket
  // A shell that is gone already needs no environment.
  channel.on('error', () => undefined)
  channel.end(environmentScript(environment))
  return child
}

function spawnChild(command: [string, ...string[]], standard: StandardStreams): Promise<Started> {
  return new Promise((resolve, reject) => {
    const fail = (error: unknown): void =>
      reject(error instanceof SallyportError ? error : startProblem(error))
    try {
      // The home directory is the user's own affair, and entered with the user's rights.
      const child = startChild(command, standard, {env: launchEnvironment, cwd: '/', detached: true})
      child.once('error', fail)
      child.once('spawn', () => resolve(child as Started))
    } catch (error) {
      fail(error)
    }
  })
}

function onTerminal(terminal: OpenTerminal): Streams {
  const {path, input, output, resize, finish, close} = terminal
  return {tty: path, stdin: input, stdout: output, resize, exited: finish, close}
}

function onPipes(stdin: Socket, {stdout, stderr}: Pick<OutputPipes, 'stdout' | 'stderr'>): Streams {
  // A program that does not read is no error: its input is dropped.
  stdin.on('error', () => undefined)
  let state: 'open' | 'exited' | 'left' = 'open'
  const destroy = (): void => {
    for (const stream of [stdin, stdout, stderr]) stream.destroy()
  }
  const outputs = [buffered(stdout), buffered(stderr)] as const
  return {
    stdin,
    stdout: outputs[0].sink,
    stderr: outputs[1].sink,
    resize: () => undefined,
    exited() {
      if (state === 'left') destroy()
      // Background processes may hold the pipes for longer.
      state = 'exited'
    },
    close() {
      if (state === 'exited') return destroy()
      state = 'left'
      stdin.destroy()
      // Pipes that break would be the end of a program that has something to do at SIGHUP.
      for (const output of outputs) output.discard()
    },
  }
}

/**
 * A pipe and what the session sees of it. The pipe can still be emptied when the session is over; and where it is Node's,
 * which flows when the program exits whether anybody listens or not, nothing gets lost by that.
 */
function buffered(source: Readable): {sink: Readable; discard(): void} {
  const sink = new PassThrough({highWaterMark: bufferBytes})
  const end = (): void => void sink.end()
  source.pipe(sink)
  source.on('error', end)
  source.on('close', end)
  const onSinkClosed = (): void => void source.destroy()
  sink.on('close', onSinkClosed)
  return {
    sink,
    discard() {
      sink.off('close', onSinkClosed)
      source.unpipe(sink)
      source.resume()
      end()
    },
  }
}

function nodeProcess(child: Started, account: Account, asRoot: boolean, streams: Streams): NodeProcess {
  let running = true
  let forced = false
  let impatience: NodeJS.Timeout | undefined
  const exited = new Promise<ProcessExit>(resolve => {
    child.once('exit', (code, signal) => {
      running = false
      clearTimeout(impatience)
      if (forced) killSessionMembers(child.pid)
      streams.exited()
      resolve(processExit(code, signal))
    })
  })
  const end = (milliseconds: number): void => {
    // Before the end of its input, which is another reason to leave.
    if (running) tryKill(-child.pid, 'SIGHUP')
    streams.close()
    if (!running) return
    clearTimeout(impatience)
    impatience = setTimeout(() => tryKill(-child.pid, 'SIGKILL'), milliseconds)
  }
  const {tty, stdin, stdout, stderr, resize} = streams
  return {
    pid: child.pid,
    ...(tty !== undefined && {tty}),
    ...{stdin, stdout, resize, exited},
    ...(stderr && {stderr}),
    signal(name) {
      if (!isSignalName(name)) return false
      if (running) sendSignal(child.pid, name, asRoot ? account : undefined)
      return true
    },
    hangUp: () => end(hangUpMilliseconds),
    kill() {
      forced = true
      if (!running) killSessionMembers(child.pid)
      end(killMilliseconds)
    },
  }
}

/** Sends a signal to a process group; as `sender` where one is given, so that nobody reaches more than their own. */
function sendSignal(group: number, name: string, sender: Account | undefined): void {
  if (!sender || sender.uid === 0) return tryKill(-group, `SIG${name}` as NodeJS.Signals)
  const command = asUser(sender, ['/bin/sh', '-c', `kill -s ${name} -- -${group}`])
  // There is nobody to tell when it cannot be sent: RFC 4254 §6.9 has no answer to a signal.
  void runToEnd(command, {env: launchEnvironment, milliseconds: killMilliseconds, maxBytes: 0})
}
