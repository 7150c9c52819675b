import {escapeFilter, escapeHelp} from './escape-filter.js'

export interface TerminalSize {
  columns: number
  rows: number
}

export interface TerminalOptions {
  input?: NodeJS.ReadStream
  output?: NodeJS.WriteStream
  /** Typed bytes, escapes taken out. Return false to pause typing until `resume`. */
  onData(data: Buffer): boolean
  onResize(size: TerminalSize): void
  /** `~.` was typed. */
  onDisconnect(): void
  /** The terminal has gone away. */
  onEnd?(): void
  /** Recognise `~.` and `~?`. Default true. */
  escapes?: boolean
}

/** A terminal in raw mode. */
export interface RawTerminal {
  size(): TerminalSize
  /** Takes typing up again after `onData` returned false. */
  resume(): void
  /** Puts the terminal back as it was. Safe to call more than once. */
  restore(): void
}

const fallbackSize: TerminalSize = {columns: 80, rows: 24}
// Ends by which a process leaves without running its own code first.
const signals: readonly NodeJS.Signals[] = ['SIGHUP', 'SIGTERM', 'SIGINT']
const signalNumbers: Readonly<Record<string, number>> = {SIGHUP: 1, SIGINT: 2, SIGTERM: 15}

/**
 * Puts the terminal into raw mode and hands over what is typed, until `restore`. It is restored on every way out of
 * the process that leaves it a choice: return, exit, exception, and the signals that end processes.
 */
export function openTerminal(options: TerminalOptions): RawTerminal {
  const {input = process.stdin, output = process.stdout, escapes = true} = options
  const filter = escapeFilter()
  const wasRaw = input.isRaw === true
  let open = true

  const size = (): TerminalSize => ({
    columns: output.columns || fallbackSize.columns,
    rows: output.rows || fallbackSize.rows,
  })
  const typed = (piece: Buffer) => {
    const {data, actions} = escapes ? filter.filter(piece) : {data: piece, actions: []}
    if (data.length > 0 && !options.onData(data)) input.pause()
    for (const action of actions) {
      if (action === 'help') output.write(escapeHelp)
      else options.onDisconnect()
    }
  }
  const resized = () => options.onResize(size())
  const ended = () => options.onEnd?.()
  const restore = () => {
    if (!open) return
    open = false
    input.off('data', typed)
    input.off('end', ended)
    output.off('resize', resized)
    process.off('exit', restore)
    for (const signal of signals) process.off(signal, leave)
    // A terminal that is gone cannot be restored, and need not be.
    if (!input.destroyed) input.setRawMode(wasRaw)
    input.pause()
  }
  const leave = (signal: NodeJS.Signals) => {
    restore()
    process.exit(128 + (signalNumbers[signal] ?? 0))
  }

  input.setRawMode(true)
  process.once('exit', restore)
  for (const signal of signals) process.once(signal, leave)
  input.on('data', typed)
  input.on('end', ended)
  output.on('resize', resized)
  input.resume()
  return {size, resume: () => input.resume(), restore}
}
