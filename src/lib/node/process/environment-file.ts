import {runToEnd} from '../../children/index.js'
import {parseEnvironmentFile} from './environment.js'
import {asUser, launchEnvironment} from './launch.js'
import type {Account} from './types.js'

/** An environment that no program can be started with would shut the user out. */
const maxBytes = 64 * 1024
/** What is no file, such as a named pipe, may give nothing for ever. */
const milliseconds = 2000

/**
 * Reads `~/.tsh/environment` as the user, by a program of the user's: whatever it is a link to, the user may read it.
 * No file, none that can be read in time, one that is too long: no variables.
 */
export async function readEnvironmentFile(account: Account): Promise<Map<string, string>> {
  const command = ['/bin/cat', '--', `${account.home}/.tsh/environment`] as const
  const {code, output} = await runToEnd(process.getuid?.() === 0 ? asUser(account, command) : command, {
    ...{env: launchEnvironment, milliseconds, maxBytes},
  })
  return parseEnvironmentFile(code === 0 ? output : '')
}
