import {createRequire} from 'node:module'
import {SallyportError} from '../../errors/index.js'
import type {Cast, CastEvent, OutputEvent} from '../read/reader.js'
import {createScreenFeed, type ScreenStep} from './feed.js'
import {createScreenLines, type ScreenLine, type ScreenLines} from './lines.js'

// A CommonJS bundle whose exports an import does not see.
const {Terminal} = createRequire(import.meta.url)('@xterm/headless') as typeof import('@xterm/headless')

export interface ReadScreenOptions {
  /** Called for every line, in no strict order of time. */
  emit: (line: ScreenLine) => void
  /** Asked now and then; `false` ends the reading. */
  goOn: () => Promise<boolean>
}

export interface ReadScreenResult {
  /** False when `goOn` ended it, or the recording is damaged from there on. */
  complete: boolean
  /** Time of the last event that was read. */
  untilMs: number
}

// Larger screens are emulated at this size: lines that wrap are joined again, so little is lost by it.
const MOST_COLUMNS = 500
const MOST_ROWS = 200
/** More than one write and one sequence can scroll away, besides what waits below DRAIN_ROWS. */
const SCROLL_BACK = 4000
const DRAIN_ROWS = 200
/** Rows joined to one line; a longer one comes in pieces that overlap by the longest text that can be looked for. */
const JOINED_ROWS = 60
const OVERLAP_CHARACTERS = 256
/** Looking at the whole screen costs as much as a few hundred bytes of output: not for every event. */
const LOOK_MS = 50
/** Output is handed over in pieces, and waited for when there are some, so that the reading can be ended soon. */
const PIECE_CHARACTERS = 4096
const BATCH = 64 * 1024
/** What a step, and looking at the whole screen, count for in a batch. */
const STEP_WEIGHT = 100
const LOOK_WEIGHT = 1000

/**
 * Plays a recording on an emulated terminal and hands on every line that was on its screen. Memory is bounded by the
 * screen and its scroll-back, whatever the recording holds.
 */
export async function readScreen(cast: Cast, {emit, goOn}: ReadScreenOptions): Promise<ReadScreenResult> {
  const screen = createScreen(cast.header.width, cast.header.height, cast.header.term === undefined, emit)
  let untilMs = 0
  let waiting = 0
  try {
    for await (const event of cast.events) {
      untilMs = event.timeMs
      for (const piece of inPieces(event)) {
        waiting += screen.take(piece)
        if (waiting < BATCH) continue
        waiting = 0
        await screen.settle()
        if (!(await goOn())) return {complete: false, untilMs}
      }
    }
    return {complete: cast.end() !== 'cut', untilMs}
  } catch (error) {
    // What came before the damage was on the screen.
    if (error instanceof SallyportError && error.code === 'recording_corrupt')
      return {complete: false, untilMs}
    throw error
  } finally {
    await screen.close()
  }
}

function* inPieces(event: CastEvent): Generator<CastEvent> {
  if (event.kind !== 'output' || event.text.length <= PIECE_CHARACTERS) return yield event
  for (let at = 0; at < event.text.length; at += PIECE_CHARACTERS)
    yield {...event, text: event.text.slice(at, at + PIECE_CHARACTERS)}
}

interface Screen {
  /** The answer says how much there is to do for it. */
  take(event: CastEvent): number
  /** Resolves when everything taken is on the screen. */
  settle(): Promise<void>
  close(): Promise<void>
}

function createScreen(
  width: number,
  height: number,
  convertEol: boolean,
  emit: (line: ScreenLine) => void,
): Screen {
  let [columns, rows] = [cut(width, MOST_COLUMNS), cut(height, MOST_ROWS)]
  const terminal = new Terminal({
    cols: columns,
    rows,
    scrollback: SCROLL_BACK,
    convertEol,
    allowProposedApi: true,
    logLevel: 'off',
  })
  const feed = createScreenFeed(columns, rows)
  const lines = createScreenLines(emit)
  const eyes = createEyes(terminal, lines)
  let lastMs = 0
  let lookedMs = 0

  /** What is to be done when everything before it is on the screen. */
  const after = (act: () => void): void => terminal.write('', act)

  const settle = (): Promise<void> => new Promise(resolve => after(resolve))

  const perform = (step: ScreenStep, ms: number): void => {
    if (step.do === 'look at row') after(() => eyes.lookAtRow(step.ahead, ms))
    else if (step.do === 'look at screen') after(() => eyes.lookAtScreen(ms))
    else
      terminal.write(step.text, () => {
        eyes.drain(ms)
        if (terminal.buffer.active.cursorY === rows - 1) feed.atBottom()
      })
  }

  const show = (steps: ScreenStep[], {timeMs, text}: OutputEvent): number => {
    for (const step of steps) perform(step, timeMs)
    const looks = steps.filter(step => step.do === 'look at screen').length
    return text.length + STEP_WEIGHT * steps.length + LOOK_WEIGHT * looks
  }

  const resize = (size: {columns: number; rows: number}, before: number): void => {
    const [wide, high] = [cut(size.columns, MOST_COLUMNS), cut(size.rows, MOST_ROWS)]
    feed.resize(wide, high)
    after(() => {
      eyes.finish(before)
      ;[columns, rows] = [wide, high]
      terminal.resize(columns, rows)
      eyes.begin()
    })
  }

  return {
    take(event) {
      const before = lastMs
      lastMs = event.timeMs
      if (event.timeMs - lookedMs >= LOOK_MS) {
        lookedMs = event.timeMs
        after(() => eyes.lookAtScreen(before))
      }
      if (event.kind === 'output') return show(feed.push(event.text), event)
      if (event.kind === 'resize') resize(event, before)
      return LOOK_WEIGHT
    },
    settle,
    async close() {
      await settle()
      eyes.finish(lastMs)
      terminal.dispose()
    },
  }
}

// xterm.js knows no terminal of one column.
const cut = (cells: number, most: number): number => Math.min(Math.max(cells, 2), most)

type Terminal = InstanceType<typeof Terminal>
type Buffer = Terminal['buffer']['active']

/** Reads rows off the terminal. Rows of the normal screen are known by how many ever came before them. */
function createEyes(terminal: Terminal, lines: ScreenLines) {
  /** The first row that was not yet taken away to the scroll-back: a marker that moves with it, and its number. */
  let marker = terminal.registerMarker(0)
  let number = 0

  const mark = (row: number): void => {
    const {baseY, cursorY} = terminal.buffer.normal
    marker?.dispose()
    marker = terminal.registerMarker(row - baseY - cursorY)
  }

  const firstRow = (): number => (marker && !marker.isDisposed ? Math.max(0, marker.line) : 0)

  /** Sees the line that `row` is part of; resolves to the row after it. */
  const look = (buffer: Buffer, row: number, ms: number): number => {
    let from = row
    const first = buffer.type === 'alternate' ? 0 : firstRow()
    while (from > first && row - from < JOINED_ROWS / 2 && buffer.getLine(from)?.isWrapped) from -= 1
    const {text, next} = joined(buffer, from)
    lines.seen(rowNumber(buffer, from), text, ms)
    return Math.max(next, row + 1)
  }

  const rowNumber = (buffer: Buffer, row: number): number =>
    buffer.type === 'alternate' ? -1 - row : number + row - firstRow()

  const lookAtScreen = (ms: number): void => {
    const buffer = terminal.buffer.active
    for (let row = buffer.baseY; row < buffer.baseY + terminal.rows; ) row = look(buffer, row, ms)
  }

  /** Rows above the screen are final; of a line that goes on on the screen only with `all`. */
  const takeAway = (ms: number, all: boolean): void => {
    const buffer = terminal.buffer.normal
    let row = firstRow()
    while (row < buffer.baseY) {
      const {text, next} = joined(buffer, row)
      if (!all && next > buffer.baseY && next - row < JOINED_ROWS) break
      lines.seen(number, text, ms)
      for (let at = row; at < next; at++) lines.gone(number + at - row)
      number += next - row
      row = next
    }
    mark(row)
  }

  return {
    lookAtScreen,
    lookAtRow(ahead: number, ms: number): void {
      const buffer = terminal.buffer.active
      const row = buffer.baseY + buffer.cursorY
      // A character may take two cells.
      const more = Math.floor((buffer.cursorX + 2 * ahead) / terminal.cols)
      const end = Math.min(row + more, buffer.baseY + terminal.rows - 1)
      for (let at = row; at <= end; ) at = look(buffer, at, ms)
    },
    /** Takes the rows that have scrolled away, when there are some. */
    drain(ms: number): void {
      const buffer = terminal.buffer.active
      if (buffer.type === 'normal' && buffer.baseY - firstRow() >= DRAIN_ROWS) takeAway(ms, false)
    },
    /** Before the rows get other numbers, or the end: everything seen is final. */
    finish(ms: number): void {
      lookAtScreen(ms)
      takeAway(ms, true)
      lines.allGone()
    },
    begin(): void {
      number += SCROLL_BACK
      mark(terminal.buffer.normal.baseY)
    },
  }
}

/** A line with the rows that it wrapped into, and the row at which to go on. */
function joined(buffer: Buffer, from: number): {text: string; next: number} {
  const parts: string[] = []
  let row = from
  do {
    parts.push(buffer.getLine(row)?.translateToString(false) ?? '')
    row += 1
  } while (row - from < JOINED_ROWS && buffer.getLine(row)?.isWrapped)
  const cutOff = buffer.getLine(row)?.isWrapped === true
  const columns = parts[0]?.length || 1
  const overlap = cutOff ? Math.min(Math.ceil(OVERLAP_CHARACTERS / columns), JOINED_ROWS - 1) : 0
  return {text: parts.join('').trimEnd(), next: row - overlap}
}
