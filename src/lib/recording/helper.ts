import {type ChildProcess, fork} from 'node:child_process'
import {setPriority} from 'node:os'
import {guardedStdio, makeSureOfRoom, programPath} from '../children/index.js'
import {problem} from '../errors/index.js'

/** A process of our own that answers one request after the other. */
export interface Helper<Request, Answer> {
  /** Throws `timeout` when it takes too long and `unavailable` when the process broke; either way it is gone then. */
  ask(request: Request, timeoutMs: number): Promise<Answer>
  close(): void
}

export type HelperAnswer<Answer> = {answer: Answer} | {error: string}

export interface HelperOptions {
  heapMegabytes: number
  /** Of `os.constants.priority`: what somebody waits for must get on where the machine is busy. */
  priority: number
}

/**
 * Starts the module `name`, a path below this directory, as a process of its own, with bounded memory and behind the
 * service at the processor: recordings are hostile input, and neither what takes long nor what breaks may hold it up. It does not keep this
 * process alive, and gets nothing of its environment.
 * @throws unavailable, too few descriptors are left
 */
export function startHelper<Request, Answer>(
  name: string,
  {heapMegabytes, priority}: HelperOptions,
): Helper<Request, Answer> {
  makeSureOfRoom()
  const child = fork(programPath(`recording/${name}`), {
    execArgv: [...process.execArgv, `--max-old-space-size=${heapMegabytes}`],
    env: {},
    serialization: 'advanced',
    stdio: guardedStdio(['ignore', 'ignore', 'ignore', 'ipc']),
  })
  let broken: Error | undefined
  child.on('error', error => {
    broken = error
  })
  child.once('spawn', () => yieldToOthers(child, priority))
  hold(child, false)

  const ask = (request: Request, timeoutMs: number): Promise<Answer> =>
    new Promise((resolve, reject) => {
      const settle = (act: () => void): void => {
        clearTimeout(timer)
        child.off('message', answered).off('exit', ended)
        hold(child, false)
        act()
      }
      const fail = (error: unknown): void => {
        child.kill('SIGKILL')
        settle(() => reject(error))
      }
      const answered = (message: unknown): void => {
        const given = message as HelperAnswer<Answer>
        if ('answer' in given) settle(() => resolve(given.answer))
        else settle(() => reject(problem('unavailable', given.error)))
      }
      const ended = (): void =>
        fail(problem('unavailable', 'the process that does this broke off', {cause: broken}))
      const timer = setTimeout(() => fail(problem('timeout', 'it took too long')), timeoutMs)
      child.on('message', answered).on('exit', ended)
      if (child.exitCode !== null || child.signalCode !== null || broken) return ended()
      // Whoever waits for an answer is kept alive for it.
      hold(child, true)
      child.send(request as object, error => error && ended())
    })

  return {ask, close: () => void child.kill('SIGKILL')}
}

function hold(child: ChildProcess, alive: boolean): void {
  if (alive) {
    child.ref()
    child.channel?.ref()
  } else {
    child.unref()
    child.channel?.unref()
  }
}

function yieldToOthers({pid}: ChildProcess, priority: number): void {
  try {
    if (pid !== undefined) setPriority(pid, priority)
  } catch {
    // It ended already, or the system has no priorities: it works all the same.
  }
}

/** The other end: answers requests from the process that started this one, and ends with it. */
export function answerRequests<Request, Answer>(work: (request: Request) => Answer | Promise<Answer>): void {
  const send = (message: HelperAnswer<Answer>): void => {
    if (process.connected) process.send?.(message)
  }
  process.on('message', async (request: Request) => {
    try {
      send({answer: await work(request)})
    } catch (error) {
      send({error: error instanceof Error ? error.message : 'it failed'})
    }
  })
  process.on('disconnect', () => process.exit())
}
