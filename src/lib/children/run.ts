import type {ChildProcess} from 'node:child_process'
import {isMissing} from '../durable/index.js'
import {asProblem} from '../errors/index.js'
import {startChild, startProblem} from './start-child.js'

export interface RunLimits {
  /** The whole of its environment. */
  env: Readonly<Record<string, string>>
  /** Time until it is killed. */
  milliseconds: number
  /** It is killed when it writes more. */
  maxBytes: number
}

export interface Finished {
  /** Exit status; absent when it was killed, or never started. */
  code?: number
  /** What it wrote to stdout; complete where there is a status. */
  output: string
  /** It took too long. */
  late: boolean
  /** Why it could not be started. */
  failure?: Error
}

/** Runs a program without input to its end, within bounds, from `/`. Never rejects. */
export function runToEnd(
  program: readonly [string, ...string[]],
  {env, milliseconds, maxBytes}: RunLimits,
): Promise<Finished> {
  let child: ChildProcess
  try {
    child = startChild(program, ['ignore', 'pipe', 'ignore'], {env, cwd: '/'})
  } catch (error) {
    return Promise.resolve({output: '', late: false, failure: asProblem(error)})
  }
  const chunks: Buffer[] = []
  let bytes = 0
  let late = false
  let failure: Finished['failure']
  return new Promise(resolve => {
    const giveUp = (): void => {
      child.kill('SIGKILL')
      // What it has started itself may hold on to the pipe.
      child.stdout?.destroy()
    }
    const timer = setTimeout(() => {
      late = true
      giveUp()
    }, milliseconds)
    child.stdout?.on('data', (chunk: Buffer) => {
      bytes += chunk.length
      if (bytes <= maxBytes) chunks.push(chunk)
      else giveUp()
    })
    const finish = (code: number | null): void => {
      clearTimeout(timer)
      resolve({
        ...(code !== null && bytes <= maxBytes && !late && {code}),
        ...{output: Buffer.concat(chunks).toString('utf8'), late},
        ...(failure && {failure}),
      })
    }
    child.once('error', error => {
      failure = isMissing(error) ? error : startProblem(error)
      finish(null)
    })
    child.once('close', finish)
  })
}
