import {spawn} from 'node:child_process'
import {guardedStdio} from './descriptors.js'

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
  failure?: NodeJS.ErrnoException
}

/** Runs a program without input to its end, within bounds, from `/`. Never rejects. */
export function runToEnd(
  [command, ...args]: readonly [string, ...string[]],
  {env, milliseconds, maxBytes}: RunLimits,
): Promise<Finished> {
  const child = spawn(command, args, {stdio: guardedStdio(['ignore', 'pipe', 'ignore']), env, cwd: '/'})
  const chunks: Buffer[] = []
  let bytes = 0
  let late = false
  let failure: NodeJS.ErrnoException | undefined
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
      failure = error
      finish(null)
    })
    child.once('close', finish)
  })
}
