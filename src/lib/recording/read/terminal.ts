import {setTimeout as delay} from 'node:timers/promises'
import type {CastEnd} from './contents.js'
import {parseKeys} from './controls.js'
import {createPlayer, type Player} from './player.js'
import type {Cast} from './reader.js'

export interface TerminalPlayOptions {
  open: () => Promise<Cast>
  /** Keys are read where it is a terminal. */
  input: NodeJS.ReadStream
  output: NodeJS.WriteStream
  speed?: number
  maxIdleMs?: number
  startMs?: number
  durationMs?: () => number | undefined
}

const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const

/** Plays to a terminal (or whatever the output is) and puts it back as it was, also when the process is told to end. */
export async function playOnTerminal(options: TerminalPlayOptions): Promise<{end: CastEnd; quit: boolean}> {
  const {input, output, ...rest} = options
  const player = createPlayer({
    ...rest,
    now: () => performance.now(),
    sleep: async (ms, signal) => {
      await delay(ms, undefined, {signal}).catch(ignoreAbort)
    },
    write: text => (output.write(text) ? undefined : drained(output)),
  })
  const quit = (): void => player.control({do: 'quit'})
  for (const signal of signals) process.on(signal, quit)
  const releaseKeys = readKeys(input, player)
  try {
    return await player.run()
  } finally {
    releaseKeys()
    for (const signal of signals) process.off(signal, quit)
  }
}

function ignoreAbort(error: unknown): void {
  if (!(error instanceof Error && error.name === 'AbortError')) throw error
}

const drained = (output: NodeJS.WriteStream): Promise<void> =>
  new Promise(resolve => {
    const done = (): void => {
      output.off('drain', done)
      output.off('close', done)
      resolve()
    }
    output.on('drain', done)
    output.on('close', done)
  })

/** Takes keys in raw mode; returns what gives the terminal back. */
function readKeys(input: NodeJS.ReadStream, player: Player): () => void {
  if (!input.isTTY) return () => {}
  const onData = (data: Buffer): void => {
    for (const control of parseKeys(data.toString('utf8'))) player.control(control)
  }
  input.setRawMode(true)
  input.on('data', onData)
  input.resume()
  return () => {
    input.off('data', onData)
    input.setRawMode(false)
    input.pause()
  }
}
