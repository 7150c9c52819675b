import {once} from 'node:events'
import {existsSync} from 'node:fs'
import {eventually} from './eventually.js'
import {type RunOptions, run, start} from './process.js'

/** A connection of a stock client that others open their sessions on. */
export interface SharedConnection {
  /** Options of those others; before the ones that the master was given. */
  words: string[]
  /** Ends the connection with all its sessions. */
  close(): Promise<void>
}

/**
 * Opens a connection by which sessions can be opened (ControlMaster).
 * @param control path of the control socket
 * @param words options and target of the client
 */
export async function shareConnection(
  control: string,
  words: readonly string[],
  options: RunOptions = {},
): Promise<SharedConnection> {
  const path = ['-o', `ControlPath=${control}`]
  const master = start('ssh', [...path, '-M', '-N', ...words], options)
  const gone = once(master, 'exit')
  await eventually(() => existsSync(control), 'the control socket is there')
  return {
    // A client that is refused would otherwise go on by a connection of its own.
    words: ['-o', 'ProxyCommand=false', ...path],
    async close() {
      // A signal that comes as it begins to wait for something is not noticed until that comes.
      await run('ssh', [...path, '-O', 'exit', ...words], options)
      await gone
    },
  }
}
