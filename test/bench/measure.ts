import {spawn} from 'node:child_process'
import {once} from 'node:events'
import {closeSync, openSync, readdirSync, readFileSync, statSync} from 'node:fs'
import {join} from 'node:path'

export const median = (values: readonly number[]): number => {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = sorted.length >> 1
  const upper = sorted[middle] ?? Number.NaN
  return sorted.length % 2 ? upper : ((sorted[middle - 1] ?? Number.NaN) + upper) / 2
}

/** CPU seconds of a process and of those of its children that have ended (proc(5), 100 ticks a second). */
export function cpuSeconds(pid: number): number {
  // The name in parentheses may have spaces.
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
    .replace(/^.*\) /s, '')
    .split(' ')
  return fields.slice(11, 15).reduce((sum, ticks) => sum + Number(ticks), 0) / 100
}

/** Bytes in all files below a directory. */
export const bytesBelow = (directory: string): number =>
  readdirSync(directory, {recursive: true, encoding: 'utf8'}).reduce((sum, name) => {
    const {size} = statSync(join(directory, name))
    return sum + (statSync(join(directory, name)).isFile() ? size : 0)
  }, 0)

/** Largest resident memory of a process so far, MB. */
export const peakMegabytes = (pid: number): number =>
  Number(/VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) / 1024

export interface Command {
  program: string
  args: readonly string[]
  env: Record<string, string>
  /** A file for stdin. Default: nothing. */
  input?: string
}

/** Seconds until the program has ended; its output goes nowhere. @throws with its stderr when it fails */
export async function seconds({program, args, env, input = '/dev/null'}: Command): Promise<number> {
  const [stdin, stdout] = [openSync(input, 'r'), openSync('/dev/null', 'w')]
  const began = performance.now()
  const child = spawn(program, args, {
    stdio: [stdin, stdout, 'pipe'],
    env: {PATH: process.env.PATH, HOME: process.env.HOME, LC_ALL: 'C', ...env},
  })
  let stderr = ''
  child.stderr?.setEncoding('utf8').on('data', (chunk: string) => {
    stderr += chunk
  })
  const [code] = await once(child, 'close')
  const took = (performance.now() - began) / 1000
  closeSync(stdin)
  closeSync(stdout)
  if (code !== 0) throw new Error(`${program} ended with ${String(code)}: ${stderr}`)
  return took
}
