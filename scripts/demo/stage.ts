import type {ChildProcess} from 'node:child_process'
import {mkdirSync, mkdtempSync, readdirSync, readFileSync, realpathSync, rmSync, symlinkSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {delimiter, dirname, join} from 'node:path'

/** Ctrl-C, or whoever started us wants it to end. */
export class Interrupted extends Error {}

type Cleanup = () => void | Promise<void>

/** Where the demo plays: a temporary directory, a clean environment, and everything that has to be ended again. */
export interface Stage {
  directory: string
  /** `sallyport` is on its PATH; no agent, profile or setting of whoever runs the demo gets in. */
  env: NodeJS.ProcessEnv
  path(name: string): string
  /** Runs when the stage closes, the last one added first. */
  atEnd(cleanup: Cleanup): void
  /** Kills the process group of `child` should this process end without closing the stage. */
  guard(child: ChildProcess): void
  /** Rejects with `Interrupted` as soon as a signal asks for the end. */
  untilInterrupted<T>(work: Promise<T>): Promise<T>
  /** The last lines of the logs, for when something failed. */
  lastWords(): string
  close(): Promise<void>
}

const lastLines = 20

/** @param root directory of the repository, built */
export function openStage(root: string): Stage {
  const directory = mkdtempSync(join(realpathSync(tmpdir()), 'sallyport-demo-'))
  const path = (name: string): string => join(directory, name)
  mkdirSync(path('bin'))
  symlinkSync(join(root, 'bin/run.js'), path('bin/sallyport'))
  const cleanups: Cleanup[] = []
  const guarded = new Set<ChildProcess>()
  const interrupted = signalled()

  const remove = (): void => rmSync(directory, {recursive: true, force: true, maxRetries: 3})
  process.once('exit', () => {
    for (const child of guarded) killGroup(child)
    remove()
  })

  return {
    ...{directory, path},
    env: cleanEnvironment(directory),
    atEnd: cleanup => void cleanups.push(cleanup),
    guard(child) {
      guarded.add(child)
      child.once('exit', () => guarded.delete(child))
    },
    untilInterrupted: work => Promise.race([work, interrupted]),
    lastWords: () =>
      readdirSync(directory)
        .filter(name => name.endsWith('.log'))
        .map(
          name => `\n${name}:\n${readFileSync(path(name), 'utf8').split('\n').slice(-lastLines).join('\n')}`,
        )
        .join(''),
    async close() {
      for (let cleanup = cleanups.pop(); cleanup; cleanup = cleanups.pop()) await cleanup()
      remove()
    },
  }
}

/** Ctrl-C reaches npm and tsx as well, and comes again from them: it is heard once, and the end takes its time. */
function signalled(): Promise<never> {
  const promise = new Promise<never>((_, reject) => {
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
      process.on(signal, () => reject(new Interrupted(signal)))
  })
  // It may come while nobody waits for anything.
  promise.catch(() => undefined)
  return promise
}

/**
 * Signals what a child that leads a group of its own has started, as long as it runs. Children lead groups so that
 * Ctrl-C leaves it to us to end them in order.
 */
export function killGroup(child: ChildProcess, signal: NodeJS.Signals = 'SIGKILL'): void {
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return
  try {
    process.kill(-child.pid, signal)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
  }
}

function cleanEnvironment(directory: string): NodeJS.ProcessEnv {
  const kept = Object.entries(process.env).filter(
    ([name]) => !/^(SALLYPORT_|TELEPORT_|SSH_|npm_|NODE_OPTIONS$)/.test(name),
  )
  return {
    ...Object.fromEntries(kept),
    PATH: [join(directory, 'bin'), process.env.PATH, dirname(process.execPath)].join(delimiter),
    SALLYPORT_HOME: join(directory, 'home'),
  }
}
