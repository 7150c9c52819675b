import {type ChildProcess, spawn} from 'node:child_process'
import {guardedStdio} from './descriptors.js'
import {parseEnvironmentFile} from './environment.js'
import {asUser, launchEnvironment} from './launch.js'
import type {Account} from './types.js'

/** An environment that no program can be started with would shut the user out. */
const maxFileBytes = 64 * 1024
/** What is no file, such as a named pipe, may give nothing for ever. */
const readMilliseconds = 2000

/**
 * Reads `~/.tsh/environment` as the user, by a program of the user's: whatever it is a link to, the user may read it.
 * No file, none that can be read in time, one that is too long: no variables.
 */
export async function readEnvironmentFile(account: Account): Promise<Map<string, string>> {
  const read = ['/bin/sh', '-c', `exec head -c ${maxFileBytes + 1} -- "$1"`, 'sallyport']
  const command = [...read, `${account.home}/.tsh/environment`] as const
  const [file, ...args] = process.getuid?.() === 0 ? asUser(account, command) : command
  const stdio = guardedStdio(['ignore', 'pipe', 'ignore'])
  const text = await output(
    spawn(file, args, {
      ...{stdio, env: launchEnvironment, cwd: '/'},
      ...{timeout: readMilliseconds, killSignal: 'SIGKILL'},
    }),
  )
  return parseEnvironmentFile(text)
}

/** Everything that a program wrote, if it ended well and within the bounds. */
function output(child: ChildProcess): Promise<string> {
  const chunks: Buffer[] = []
  child.stdout?.on('data', (chunk: Buffer) => chunks.push(chunk))
  return new Promise(resolve => {
    child.once('error', () => resolve(''))
    child.once('close', code => {
      const bytes = Buffer.concat(chunks)
      resolve(code === 0 && bytes.length <= maxFileBytes ? bytes.toString('utf8') : '')
    })
  })
}
