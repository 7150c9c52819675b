import {closeSync, constants, fchmodSync, fchownSync, fstatSync, openSync, readSync, write} from 'node:fs'
import {Readable, Writable} from 'node:stream'
import {ReadStream} from 'node:tty'
import {guardDescriptor, startChild} from '../../children/index.js'
import {errnoOf} from '../../durable/index.js'
import {problem} from '../../errors/index.js'
import type {TerminalSize} from '../../session/index.js'
import {sttyArguments} from './terminal-modes.js'
import type {Account, Terminal} from './types.js'

/** The part of node-pty that stands below its own sessions: those lose output when a program exits. */
interface NativeTerminals {
  open(columns: number, rows: number): {master: number; slave: number; pty: string}
  resize(master: number, columns: number, rows: number, widthPixels: number, heightPixels: number): void
}

export interface OpenTerminal {
  /** Such as /dev/pts/3. */
  path: string
  /** What the program has as stdin, stdout and stderr. */
  descriptor: number
  input: Writable
  /** Pausing it pauses whoever writes to the terminal. */
  output: Readable
  resize(size: TerminalSize): void
  /** The program has exited: what it has written is read, then `output` ends and the terminal goes. */
  finish(): void
  /** The terminal goes at once; its foreground processes get SIGHUP from the kernel. */
  close(): void
}

const bufferBytes = 64 * 1024
/** More than a terminal holds back (64 kB on Linux). Background processes that write on must not keep us reading. */
const maxLastWords = 256 * 1024
/** How long until a terminal whose input is full is tried again, ms: at first and at most. */
const firstRetry = 1
const lastRetry = 50
/** Setting the modes takes a few milliseconds. */
const sttyMilliseconds = 5000
/** Writable for the group, which devpts makes `tty`, so that write(1) and wall(1) reach the user. */
const terminalMode = 0o620

/**
 * Opens a pseudo-terminal of the asked size and modes that belongs to `account`.
 * We keep its other end open until everything is read: without it the kernel throws away what a program wrote last.
 * @param own whether the terminal has to be given to the account, which takes root
 * @throws unavailable there is no support for terminals on this system, or they are used up
 */
export async function openTerminal(asked: Terminal, account: Account, own: boolean): Promise<OpenTerminal> {
  const native = await loadNative()
  const {master, slave, path} = openPair(native, asked)
  const terminal = terminalStreams(native, master, slave, path)
  try {
    if (own) {
      fchownSync(slave, account.uid, fstatSync(slave).gid)
      fchmodSync(slave, terminalMode)
    }
    await setModes(slave, asked.modes)
    return terminal
  } catch (error) {
    terminal.close()
    throw error
  }
}

let loaded: Promise<NativeTerminals> | undefined

async function loadNative(): Promise<NativeTerminals> {
  loaded ??= import('@lydell/node-pty').then(
    module => (module as unknown as {native: NativeTerminals}).native,
  )
  try {
    return await loaded
  } catch (error) {
    throw problem('unavailable', `there are no terminals on ${process.platform}-${process.arch}`, {
      hint: 'run a command without one (ssh -T)',
      cause: error,
    })
  }
}

interface Pair {
  master: number
  slave: number
  path: string
}

/** Both ends. The one of ours closes on exec, other than those that come from openpty(3). */
function openPair(native: NativeTerminals, {columns, rows}: TerminalSize): Pair {
  try {
    const opened = native.open(columns, rows)
    try {
      const slave = openSync(opened.pty, constants.O_RDWR | constants.O_NOCTTY)
      return {master: opened.master, slave, path: opened.pty}
    } catch (error) {
      closeSync(opened.master)
      throw error
    } finally {
      closeSync(opened.slave)
    }
  } catch (error) {
    throw problem('unavailable', 'this host has no terminal left', {hint: 'try again later', cause: error})
  }
}

function terminalStreams(native: NativeTerminals, master: number, slave: number, path: string): OpenTerminal {
  const guarded = guardDescriptor(master)
  const source = new ReadStream(master)
  const input = terminalInput(master)
  let closed = false
  const close = (): void => {
    if (closed) return
    closed = true
    closeSync(slave)
    input.stop(() => source.destroy())
    if (!output.readableEnded) output.push(null)
  }
  const output = new Readable({
    highWaterMark: bufferBytes,
    read: () => void (closed || source.resume()),
    destroy(error, done) {
      close()
      done(error)
    },
  })
  source.pause()
  source.on('data', (chunk: Buffer) => {
    if (!closed && !output.push(chunk)) source.pause()
  })
  // Reading fails when the terminal is gone, which then is the end of it.
  source.on('error', close)
  source.on('close', () => guarded.release())
  return {
    path,
    descriptor: slave,
    input: input.stream,
    output,
    resize({columns, rows}) {
      if (!closed) native.resize(master, columns, rows, 0, 0)
    },
    finish() {
      if (closed) return
      source.pause()
      source.removeAllListeners('data')
      for (let chunk: unknown = source.read(); Buffer.isBuffer(chunk); chunk = source.read())
        output.push(chunk)
      for (const chunk of lastWords(master)) output.push(chunk)
      close()
    },
    close,
  }
}

/** What is left to be read of a terminal that nobody writes to any more. */
function* lastWords(master: number): Generator<Buffer> {
  for (let total = 0; total < maxLastWords; ) {
    const chunk = Buffer.allocUnsafe(bufferBytes)
    let length: number
    try {
      length = readSync(master, chunk)
    } catch (error) {
      if (errnoOf(error) === 'EINTR') continue
      // EAGAIN: that was all. Anything else: there is no more to be had.
      return
    }
    if (length === 0) return
    total += length
    yield chunk.subarray(0, length)
  }
}

interface TerminalInput {
  stream: Writable
  /** Drops what is not written yet; `then` is called when the descriptor is not in use any more. */
  stop(then: () => void): void
}

/**
 * Writing to a terminal whose program does not read ends in EAGAIN, and there is nothing to be told by when it reads
 * again: so it is tried again, ever less often.
 */
function terminalInput(master: number): TerminalInput {
  let stopped: (() => void) | undefined
  let retry: {timer: NodeJS.Timeout; give: () => void} | undefined
  let writing = false
  const pass = (chunk: Buffer, delay: number, done: () => void): void => {
    writing = true
    write(master, chunk, (error, length) => {
      writing = false
      if (stopped) {
        stopped()
        return done()
      }
      if (!error) return length < chunk.length ? pass(chunk.subarray(length), firstRetry, done) : done()
      // Any other error: nobody is there to read it.
      if (errnoOf(error) !== 'EAGAIN') return done()
      const timer = setTimeout(() => {
        retry = undefined
        pass(chunk, Math.min(delay * 2, lastRetry), done)
      }, delay)
      retry = {timer, give: done}
    })
  }
  const stream = new Writable({
    highWaterMark: bufferBytes,
    write: (chunk: Buffer, _encoding, done) => (stopped ? done() : pass(chunk, firstRetry, done)),
  })
  return {
    stream,
    stop(then) {
      stopped = then
      clearTimeout(retry?.timer)
      retry?.give()
      if (!writing) then()
    },
  }
}

/** Modes are a wish: what this system's stty(1) does not know stays as it is. */
async function setModes(slave: number, modes: Buffer): Promise<void> {
  const args = sttyArguments(modes)
  if (args.length === 0) return
  const options = {env: {PATH: '/usr/bin:/bin'}, timeout: sttyMilliseconds}
  const child = startChild(['stty', ...args], [slave, 'ignore', 'ignore'], options)
  await new Promise<void>(resolve => {
    child.once('close', () => resolve())
    child.once('error', () => resolve())
  })
}
