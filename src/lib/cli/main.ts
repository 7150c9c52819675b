import {readFileSync} from 'node:fs'
import {homedir, userInfo} from 'node:os'
import type {Interfaces} from '@oclif/core'
import {prepareArgv} from './remote-argv.js'
import {endWithStdout} from './stdout.js'

export interface MainOptions {
  /** Directory of package.json. */
  root: string
  /** How oclif finds the commands; the root directory unless running from sources. */
  load?: () => Promise<Interfaces.LoadOptions>
}

/** Runs one command line to its end. Never throws; an error ends the process with its exit code. */
export async function main(argv: readonly string[], {root, load}: MainOptions): Promise<void> {
  honourAliases(process.env)
  nameShellAndHome(process.env)
  endWithStdout(argv)
  if (argv[0] === '--version' && argv.length === 1) {
    process.stdout.write(`${versionLine(root)}\n`)
    return
  }
  const {run} = await import('./oclif.js')
  try {
    await run(prepareArgv(argv), load === undefined ? {root} : await load())
  } catch (thrown) {
    process.exit(await report(thrown, argv))
  }
}

async function report(thrown: unknown, argv: readonly string[]): Promise<number> {
  const {describe, exitStatus, toProblem} = await import('./report.js')
  const status = exitStatus(thrown)
  if (status !== undefined) return status
  const error = toProblem(thrown)
  process.stderr.write(describe(error, {debug: argv.includes('--debug'), json: false}))
  return error.exitCode
}

/** `sallyport/0.1.0 linux-x64 node-v20.20.2` */
const versionLine = (root: string): string =>
  `sallyport/${packageVersion(root)} ${process.platform}-${process.arch} node-${process.version}`

function packageVersion(root: string): string {
  const {version} = JSON.parse(readFileSync(`${root}/package.json`, 'utf8')) as {version: string}
  return version
}

const aliased = [
  'PROXY',
  'USER',
  'LOGIN',
  'CLUSTER',
  'HOME',
  'IDENTITY_FILE',
  'ADD_KEYS_TO_AGENT',
  'USE_LOCAL_SSH_AGENT',
]

/**
 * oclif asks the user database for shell and home where the environment does not name them, and ends with an error where
 * the user id has no account: some containers run programs by ids that nobody has.
 */
function nameShellAndHome(env: NodeJS.ProcessEnv): void {
  if (env.SHELL !== undefined && env.HOME !== undefined) return
  try {
    env.SHELL ??= userInfo().shell ?? defaultShell
    env.HOME ??= homedir()
  } catch {
    env.SHELL ??= defaultShell
    env.HOME ??= '/'
  }
}

const defaultShell = '/bin/sh'

/** The `TELEPORT_` spelling of a variable counts where the `SALLYPORT_` one is not set. */
function honourAliases(env: NodeJS.ProcessEnv): void {
  for (const name of aliased) {
    const value = env[`TELEPORT_${name}`]
    if (value !== undefined) env[`SALLYPORT_${name}`] ??= value
  }
}
