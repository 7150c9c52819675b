import {createRequire} from 'node:module'
import type {TerminalSize} from '../channel/requests.js'
import {boundCounts} from './filter.js'
import {paint} from './paint.js'

/** Output or a change of size, in the order they came. */
export type ScreenEvent = string | TerminalSize

/** Larger screens are emulated at this size: no memory is taken for cells that nobody can look at. */
const mostColumns = 1000
const mostRows = 500

let emulator: typeof import('@xterm/headless') | undefined

/** A CommonJS bundle whose exports an import does not see; loaded when the first screen is wanted. */
function loadEmulator(): typeof import('@xterm/headless') {
  emulator ??= createRequire(import.meta.url)('@xterm/headless') as typeof import('@xterm/headless')
  return emulator
}

/** A screen: its size, and output that brings an empty terminal of that size to it. */
export interface PaintedScreen {
  size: TerminalSize
  text: string
}

/**
 * The screen that output makes of another one. Takes about 100 ms of processor time per megabyte, in slices of 12 ms.
 * @param events harmless text in whole sequences, as a sanitizer gives it
 */
export async function drawScreen(
  from: PaintedScreen,
  events: readonly ScreenEvent[],
): Promise<PaintedScreen> {
  const {Terminal} = loadEmulator()
  let size = bounded(from.size)
  const terminal = new Terminal({
    cols: size.columns,
    rows: size.rows,
    scrollback: 0,
    allowProposedApi: true,
    logLevel: 'off',
  })
  const write = (text: string): Promise<void> => new Promise(resolve => terminal.write(text, resolve))
  try {
    if (from.text !== '') await write(from.text)
    for (const event of events) {
      if (typeof event === 'string') await write(boundCounts(event, size))
      else {
        size = bounded(event)
        terminal.resize(size.columns, size.rows)
      }
    }
    return {size, text: paint(terminal)}
  } finally {
    terminal.dispose()
  }
}

// xterm.js knows no terminal of one column.
const bounded = ({columns, rows}: TerminalSize): TerminalSize => ({
  columns: Math.min(Math.max(columns, 2), mostColumns),
  rows: Math.min(Math.max(rows, 1), mostRows),
})
