import type {ChildProcess} from 'node:child_process'
import {startChild} from '../children/index.js'
import type {CommandLabel} from '../config/index.js'
import {systemErrorWords} from '../durable/index.js'
import {asProblem} from '../errors/index.js'
import {maxLabelValue} from '../names/index.js'
import type {Log} from '../session/index.js'

/** A period shorter than this would have the node do little else. */
const leastPeriodMilliseconds = 1000
/** A program that has not ended by then has said nothing; never longer than its period. */
const maxRunMilliseconds = 60_000
const maxOutputCharacters = 64 * 1024

/** What the program of a label said: its output, or else why there is none. */
export interface CommandOutcome {
  stdout: string
  /** In words. */
  error?: string
}

/** The value of a label: one line of text, without what would move a terminal's cursor. Pure. */
export function labelValue({stdout, error}: CommandOutcome): string {
  const text = error === undefined ? stdout : [error, stdout.trim()].filter(Boolean).join(' output: ')
  return text
    .replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\s]+/gu, ' ')
    .trim()
    .slice(0, maxLabelValue)
    .replace(/\p{Cs}/gu, '')
}

export interface LabelsOptions {
  fixed: Readonly<Record<string, string>>
  commands: readonly CommandLabel[]
  log: Log
  /** Runs a program, without a shell, for so many milliseconds at most; default: really. */
  run?: (command: readonly string[], milliseconds: number) => Promise<CommandOutcome>
}

/** Labels of this host: those that were given, and those that programs say again and again. */
export interface Labels {
  /** As of now. */
  current(): Record<string, string>
  close(): void
}

/** Resolves when every program has been asked once. */
export async function startLabels({fixed, commands, log, run = runProgram}: LabelsOptions): Promise<Labels> {
  const values = new Map(Object.entries(fixed))
  const timers = new Map<string, NodeJS.Timeout>()
  let closed = false

  const ask = async ({name, command, periodMs}: CommandLabel): Promise<void> => {
    const period = Math.max(periodMs, leastPeriodMilliseconds)
    const outcome = await run(command, Math.min(period, maxRunMilliseconds))
    values.set(name, labelValue(outcome))
    if (closed) return
    const again = (): void => void ask({name, command, periodMs: period})
    timers.set(name, setTimeout(again, period).unref())
  }
  for (const {name, periodMs} of commands)
    if (periodMs < leastPeriodMilliseconds)
      log.warn({label: name}, 'the period of a label was raised to one second, the shortest there is')
  await Promise.all(commands.map(ask))
  return {
    current: () => Object.fromEntries(values),
    close() {
      closed = true
      for (const timer of timers.values()) clearTimeout(timer)
    },
  }
}

/** Never rejects: that a program fails is what its label says then. */
function runProgram(
  [program = '', ...args]: readonly string[],
  milliseconds: number,
): Promise<CommandOutcome> {
  let child: ChildProcess
  try {
    child = startChild([program, ...args], ['ignore', 'pipe', 'ignore'], {cwd: '/', detached: true})
  } catch (error) {
    return Promise.resolve({stdout: '', error: asProblem(error).message})
  }
  return new Promise(resolve => {
    let stdout = ''
    let cut: string | undefined
    const stop = (why: string): void => {
      cut ??= why
      // Whatever it has started goes too, or it would hold the pipe open.
      if (child.pid !== undefined) killGroup(child.pid)
      child.stdout?.destroy()
    }
    const timer = setTimeout(() => stop('it did not end in time'), milliseconds)
    child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      stdout += text
      if (stdout.length <= maxOutputCharacters) return
      stdout = ''
      stop('it said too much')
    })
    const end = (error: string | undefined): void => {
      clearTimeout(timer)
      resolve({stdout, ...(error !== undefined && {error})})
    }
    child.once('error', error => end(systemErrorWords(error)))
    child.once('close', (code, signal) => {
      const failure = signal ? `it was ended by ${signal}` : `it ended with status ${code}`
      end(cut ?? (code === 0 ? undefined : failure))
    })
  })
}

function killGroup(pid: number): void {
  try {
    process.kill(-pid, 'SIGKILL')
  } catch {
    // All of it has ended by itself.
  }
}
