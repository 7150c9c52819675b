import type {Readable, Writable} from 'node:stream'
import {StringDecoder} from 'node:string_decoder'
import type {ParticipantMode} from '../../auth/contract.js'
import {parseProblemLine, problem, type SallyportError} from '../../errors/index.js'
import {createSanitizer} from '../../recording/index.js'
import type {Channel, SshConnection} from '../../ssh/index.js'
import {WireReader, WireWriter} from '../../sshcert/index.js'
import {loadIdentity} from '../identity/identity.js'
import {type IdentityFlags, identityOptions} from '../identity/identity-flags.js'
import {connectToHolder, type Holder, readHolder} from './holder.js'
import {connectToProxy} from './proxy-connection.js'
import {openTerminal, type RawTerminal, type TerminalSize} from './terminal.js'

export interface JoinOptions {
  /** To the machine that holds the session, or to a proxy that knows which that is. */
  connection: SshConnection
  sid: string
  mode: ParticipantMode
  stdin: Readable & {isTTY?: boolean}
  stdout: Writable & {isTTY?: boolean; columns?: number; rows?: number}
  stderr: Writable
}

const ctrlC = 0x03
const maxLine = 8 * 1024
/** For a line, before the screen is drawn over it. */
export const readingMilliseconds = 1500
/** Leaves the alternate screen, and sets modes and colours back. */
export const restoreScreen = '\u001b[?1049l\u001b[!p\u001b[?7h\u001b[?25h\u001b[0m\r\n'

/**
 * Joins a session that runs and shows it until it ends, or until this side leaves. The session keeps its size, whatever
 * that of the terminal here is.
 * @returns the machine that holds it, where that is another one; undefined at its end
 * @throws what the other side says against it
 */
export async function joinSession(options: JoinOptions): Promise<Holder | undefined> {
  const {connection, mode, stdin, stdout, stderr} = options
  const channel = await connection.openChannel('session')
  const terminal = stdin.isTTY === true && stdout.isTTY === true
  const screen = {shown: false, left: false, status: undefined as number | undefined}
  const refusal = readLines(channel, stderr)
  let broken: SallyportError | undefined
  let holder: Holder | undefined
  void connection.closed.then(error => {
    broken = error
  })
  const ended = new Promise<void>(resolve => {
    channel.onClosed = resolve
  })
  channel.onRequest = ({type, data, reply}) => {
    if (type === 'exit-status') screen.status = new WireReader(data).u32()
    if (type === 'session-size@sallyport') {
      if (!screen.shown && isSmaller(readSize(data), options)) showLater(channel)
      screen.shown = true
    }
    if (type === 'session-holder@sallyport') holder = readHolder(data)
    reply(type === 'keepalive@openssh.com')
  }
  const leave = (): void => {
    screen.left = true
    channel.close()
  }
  await channel.request('subsystem', new WireWriter().string(`join:${wishOf(options)}`).finish())
  // Without a terminal of its own a session ends lines with LF alone, which a raw terminal takes at its word.
  const clean = createCleaner()
  const shown = show(channel, stdout, data => {
    const text = clean(data)
    return terminal && !screen.shown ? text.replace(/\r?\n/g, '\r\n') : text
  })
  const keyboard = terminal ? attach(channel, mode, leave) : undefined
  // Whoever asks something has to know that nobody answers.
  if (!terminal) channel.end()
  try {
    await ended
    await shown
  } finally {
    keyboard?.restore()
    if (!terminal && !holder) stdin.destroy()
    if (stdout.isTTY && screen.shown && screen.status === undefined) stdout.write(restoreScreen)
  }
  if (holder && !screen.shown && !screen.left) return holder
  if (screen.left || screen.status === 0) return undefined
  // A connection that breaks closes its channels first and says so afterwards.
  await new Promise(resolve => void setImmediate(resolve))
  if (broken) throw broken
  throw refusal() ?? problem('unavailable', 'the connection to the proxy was lost', {hint: 'join again'})
}

/** Passes on what the proxy says, but for the reason of a refusal, which becomes the error. */
function readLines(channel: Channel, stderr: Writable): () => SallyportError | undefined {
  let rest = ''
  let refusal: SallyportError | undefined
  channel.stderr.on('data', (data: Buffer) => {
    const lines = (rest + data.toString('utf8')).split('\n')
    rest = (lines.pop() ?? '').slice(-maxLine)
    for (const raw of lines) {
      const line = raw.replace(/\r$/, '').replace(/\p{Cc}/gu, '?')
      const reason = /^sallyport: (.* \[[a-z_]+\])$/.exec(line)?.[1]
      if (reason === undefined) stderr.write(`${line}\r\n`)
      else refusal = parseProblemLine(reason, 'proxy_refused')
    }
  })
  return () => refusal
}

const readSize = (data: Buffer): TerminalSize => {
  const reader = new WireReader(data)
  return {columns: reader.u32(), rows: reader.u32()}
}

/** Whether only a part of the session's screen can be shown here; says so. */
export function isSmaller(
  size: TerminalSize,
  {stdout, stderr}: Pick<JoinOptions, 'stdout' | 'stderr'>,
): boolean {
  const {columns = size.columns, rows = size.rows} = stdout
  if (columns >= size.columns && rows >= size.rows) return false
  const [theirs, ours] = [`${size.columns}x${size.rows}`, `${columns}x${rows}`]
  stderr.write(`sallyport: the session's terminal is ${theirs}, yours is smaller: ${ours}\r\n`)
  return true
}

/** The screen would be drawn over what was said before anybody could read it. The session waits for nobody. */
function showLater(channel: Channel): void {
  channel.pause()
  setTimeout(() => channel.resume(), readingMilliseconds).unref()
}

/**
 * Whoever holds the session has made its output harmless already. It may be the very host that somebody wants to keep an
 * eye on, so nobody's terminal depends on that.
 */
export function createCleaner(): (data: Buffer) => string {
  const decoder = new StringDecoder('utf8')
  const sanitizer = createSanitizer()
  return data => sanitizer.push(decoder.write(data))
}

function show(channel: Channel, stdout: Writable, change: (data: Buffer) => string): Promise<void> {
  return new Promise(resolve => {
    channel.on('data', (data: Buffer) => {
      if (!stdout.write(change(data))) channel.pause()
    })
    stdout.on('drain', () => channel.resume())
    stdout.on('error', () => {
      // `sessions watch … | head`: nobody reads any more.
      channel.close()
      resolve()
    })
    channel.on('end', () => stdout.write('', () => resolve()))
    channel.on('close', () => resolve())
  })
}

function attach(channel: Channel, mode: ParticipantMode, leave: () => void): RawTerminal {
  const terminal = openTerminal({
    onData(data) {
      if (mode === 'peer' || !data.includes(ctrlC)) return channel.write(data)
      leave()
      return true
    },
    onResize: () => undefined,
    onDisconnect: leave,
    onEnd: leave,
  })
  channel.on('drain', terminal.resume)
  return terminal
}

const wishOf = ({sid, mode}: Pick<JoinOptions, 'sid' | 'mode'>): string => `${sid}:${mode}`

/** Joins as whom the flags say, with the terminal of this process. */
export async function withJoinedSession(
  flags: IdentityFlags,
  which: Pick<JoinOptions, 'sid' | 'mode'>,
): Promise<void> {
  const identity = await loadIdentity(identityOptions(flags))
  const connection = await connectToProxy(identity)
  try {
    const {stdin, stdout, stderr} = process
    const options = {...which, stdin, stdout, stderr}
    const holder = await joinSession({...options, connection})
    if (!holder) return
    const direct = await connectToHolder(identity, connection, wishOf(which), holder)
    if (await joinSession({...options, connection: direct}))
      throw problem('unavailable', 'the session has moved', {hint: 'join it again'})
    direct.disconnect()
  } finally {
    connection.disconnect()
    await connection.closed
    identity.close()
  }
}
