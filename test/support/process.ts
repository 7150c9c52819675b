import {type ChildProcess, type ChildProcessByStdio, execFileSync, spawn} from 'node:child_process'
import type {Readable, Writable} from 'node:stream'
import {atEnd} from './cleanup.js'

export interface RunOptions {
  /** Added to a small clean environment; undefined removes a variable. */
  env?: Record<string, string | undefined>
  cwd?: string
  /** Written to stdin, which is then closed. */
  input?: Buffer | string
  /** Milliseconds until the process is killed and the run fails; 60 000 by default. */
  deadline?: number
  /** uid and gid to run as (root only). */
  uid?: number
  gid?: number
}

export interface RunResult {
  /** Exit status; 128 + signal where a signal ended it, as a shell counts. */
  code: number
  stdout: Buffer
  stderr: string
}

export type PipedProcess = ChildProcessByStdio<Writable, Readable, Readable>

const signalNumbers: Readonly<Record<string, number>> = {
  SIGHUP: 1,
  SIGINT: 2,
  SIGKILL: 9,
  SIGPIPE: 13,
  SIGTERM: 15,
}

/** No agent, display or locale of whoever runs the tests gets in. */
const cleanEnvironment = (extra: Record<string, string | undefined> = {}): NodeJS.ProcessEnv => {
  const environment: NodeJS.ProcessEnv = {
    PATH: process.env.PATH,
    HOME: process.env.HOME,
    LC_ALL: 'C',
    ...extra,
  }
  for (const [name, value] of Object.entries(environment)) if (value === undefined) delete environment[name]
  return environment
}

/** Starts a process with piped stdio; it is killed when the test file ends or the test runner exits. */
export function start(command: string, args: readonly string[], options: RunOptions = {}): PipedProcess {
  const {cwd, uid, gid} = options
  const child = spawn(command, args, {
    stdio: 'pipe',
    env: cleanEnvironment(options.env),
    ...(cwd === undefined ? {} : {cwd}),
    ...(uid === undefined ? {} : {uid}),
    ...(gid === undefined ? {} : {gid}),
  })
  killAtEnd(child)
  // A process that ends before it has read its input is a result to look at, not a crash of the test runner.
  child.stdin.on('error', () => undefined)
  return child
}

/** Runs a process to its end and collects what it wrote; a failing exit status is a result, not an exception. */
export async function run(
  command: string,
  args: readonly string[],
  options: RunOptions = {},
): Promise<RunResult> {
  const child = start(command, args, options)
  const stdout = collect(child.stdout)
  const stderr = collect(child.stderr)
  child.stdin.end(options.input ?? '')
  const deadline = options.deadline ?? 60_000
  let late = false
  const timer = setTimeout(() => {
    late = true
    child.kill('SIGKILL')
    // Grandchildren may hold the pipes open; without this `close` would wait for them.
    child.stdout.destroy()
    child.stderr.destroy()
  }, deadline)
  try {
    const code = await new Promise<number>((resolve, reject) => {
      child.once('error', reject)
      child.once('close', (status, signal) => resolve(status ?? 128 + (signalNumbers[signal ?? ''] ?? 0)))
    })
    const output = {code, stdout: Buffer.concat(stdout), stderr: Buffer.concat(stderr).toString('utf8')}
    if (late)
      throw new Error(`${command} ${args.join(' ')} did not end within ${deadline} ms\n${output.stderr}`)
    return output
  } finally {
    clearTimeout(timer)
  }
}

/** Ends a process and waits until it is gone: SIGTERM first, SIGKILL when it does not listen for 2 s. */
export async function terminate(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined) return
  const gone = new Promise<void>(resolve => child.once('exit', () => resolve()))
  child.kill('SIGTERM')
  const impatience = setTimeout(() => child.kill('SIGKILL'), 2000)
  await gone
  clearTimeout(impatience)
}

/** Process ids of all descendants of `root`, nearest first. */
export function descendants(root: number): number[] {
  const table = execFileSync('ps', ['-A', '-o', 'pid=,ppid='], {encoding: 'utf8'})
    .trim()
    .split('\n')
    .map(line => line.trim().split(/\s+/).map(Number))
  const found: number[] = []
  const waiting = [root]
  for (let parent = waiting.shift(); parent !== undefined; parent = waiting.shift()) {
    for (const [pid, ppid] of table) {
      if (ppid !== parent || pid === undefined) continue
      found.push(pid)
      waiting.push(pid)
    }
  }
  return found
}

const collect = (stream: Readable): Buffer[] => {
  const chunks: Buffer[] = []
  stream.on('data', (chunk: Buffer) => chunks.push(chunk))
  return chunks
}

const alive = new Set<ChildProcess>()
process.once('exit', () => {
  for (const child of alive) child.kill('SIGKILL')
})

function killAtEnd(child: ChildProcess): void {
  const forget = atEnd(() => terminate(child))
  alive.add(child)
  const release = (): void => {
    alive.delete(child)
    forget()
  }
  child.once('exit', release)
  child.once('error', release)
}
