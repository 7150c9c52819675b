import {closeSync, constants, fchownSync, mkdtempSync, openSync, rmdirSync, rmSync} from 'node:fs'
import {Socket} from 'node:net'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import type {Readable} from 'node:stream'
import {runToEnd} from '../../children/index.js'
import {launchEnvironment} from './launch.js'
import type {Account} from './types.js'

const {O_RDONLY, O_WRONLY, O_NONBLOCK} = constants

const mkfifoMilliseconds = 5000

/** Pipes from a program's stdout and stderr. */
export interface OutputPipes {
  stdout: Readable
  stderr: Readable
  /** The program's ends, stdout's first. */
  ends: readonly [number, number]
  /** Lets go of the program's ends, once it has them. */
  handOver(): void
  /** Gives up everything, where no program was started. */
  close(): void
}

/**
 * Makes two pipes whose program's ends belong to the account. Those that Node makes are sockets, which /dev/stdout and
 * /dev/stderr cannot be opened through: `echo problem >/dev/stderr` would fail. The only pipes that Node can open are
 * named ones; their names are gone when they are handed out. Stdin is not among them: a named pipe whose writer has
 * ended already makes the next one who opens it wait for ever.
 * @param own whether the ends have to be given to the account, which takes root
 * @returns undefined where there is no room for them: on a full disk Node's own are good enough
 */
export async function openOutputPipes(account: Account, own: boolean): Promise<OutputPipes | undefined> {
  const opened: number[] = []
  const open = (path: string, flags: number): number => {
    const descriptor = openSync(path, flags)
    opened.push(descriptor)
    return descriptor
  }
  try {
    const {readers, ends} = await withNamedPipes((output, errors) => {
      // A writer may only come when there is a reader.
      const readers = [open(output, O_RDONLY | O_NONBLOCK), open(errors, O_RDONLY | O_NONBLOCK)] as const
      const ends = [open(output, O_WRONLY), open(errors, O_WRONLY)] as const
      if (own) for (const end of ends) fchownSync(end, account.uid, account.gid)
      return {readers, ends}
    })
    // Not before all that can fail is done: to close what a stream has is the end of the process.
    return outputPipes(readers, ends)
  } catch {
    for (const descriptor of opened) closeSync(descriptor)
    return undefined
  }
}

/** Passes the paths of two new named pipes that only we can reach, and removes them afterwards. */
async function withNamedPipes<T>(use: (output: string, errors: string) => T): Promise<T> {
  const directory = mkdtempSync(join(tmpdir(), 'sallyport-'))
  const [output, errors] = [join(directory, '1'), join(directory, '2')]
  try {
    const {code, failure} = await runToEnd(['mkfifo', '-m', '600', output, errors], {
      ...{env: launchEnvironment, milliseconds: mkfifoMilliseconds, maxBytes: 0},
    })
    if (code !== 0) throw failure ?? new Error('mkfifo failed')
    return use(output, errors)
  } finally {
    // One by one: to look into a directory takes a descriptor, and they may be used up.
    for (const path of [output, errors]) rmSync(path, {force: true})
    rmdirSync(directory)
  }
}

function outputPipes(readers: readonly [number, number], ends: readonly [number, number]): OutputPipes {
  const stdout = new Socket({fd: readers[0], readable: true, writable: false})
  const stderr = new Socket({fd: readers[1], readable: true, writable: false})
  const handOver = (): void => {
    for (const end of ends) closeSync(end)
  }
  return {
    ...{stdout, stderr, ends, handOver},
    close() {
      handOver()
      stdout.destroy()
      stderr.destroy()
    },
  }
}
