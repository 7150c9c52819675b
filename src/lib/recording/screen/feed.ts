import {type CsiSequence, createEscapeParser} from '../read/escape.js'

/**
 * What an emulator is to do with output, in order: take text; and look, before the next text takes it away, at the
 * row of the cursor (with as many rows more as `ahead` characters may wrap into) or at the whole screen.
 */
export type ScreenStep =
  | {do: 'write'; text: string}
  | {do: 'look at row'; ahead: number}
  | {do: 'look at screen'}

export interface ScreenFeed {
  push(text: string): ScreenStep[]
  resize(columns: number, rows: number): void
  /** The cursor is on the last row: what comes next is written below everything else. */
  atBottom(): void
}

/** Each of these characters may be a line; a write must not scroll more away than the emulator keeps. */
const WRITE_CHARACTERS = 1000

const ESC = '\u001b'

/** CSI after which the cursor may be above what was written last. */
const movesUp = new Set('AFHfdruk')
const changesRow = new Set('KPX@b')
const changesScreen = new Set('JLMST')
const alternateScreen = /^(.*;)?(47|1047|1049)(;.*)?$/

/**
 * Cuts output into steps so that nothing which was on the screen is lost between two looks. What no screen shows
 * (strings, reports, modes of the keyboard) is dropped, and counts are cut to the size of the screen, where more
 * would only keep the emulator busy.
 */
export function createScreenFeed(columns: number, rows: number): ScreenFeed {
  let largest = Math.max(columns, rows)
  let steps: ScreenStep[] = []
  let text = ''
  /** The cursor may be on text: it is looked at before more is written. */
  let moved = false
  /** The cursor may be above text: line feeds lead onto it. */
  let above = false
  /** A line feed may push a row off that no scroll-back keeps. */
  let losesRows = false

  /** Since the screen was looked at. */
  let printed = false

  const flush = (): void => {
    if (text !== '') steps.push({do: 'write', text})
    text = ''
  }

  const write = (more: string): void => {
    text += more
    if (text.length >= WRITE_CHARACTERS) flush()
  }

  const lookAtRow = (ahead: number): void => {
    flush()
    steps.push({do: 'look at row', ahead})
  }

  const lookAtScreen = (): void => {
    flush()
    if (printed) steps.push({do: 'look at screen'})
    printed = false
  }

  const print = (all: string): void => {
    printed = true
    for (let at = 0; at < all.length; at += WRITE_CHARACTERS) {
      const piece = all.slice(at, at + WRITE_CHARACTERS)
      if (moved || above) lookAtRow(piece.length)
      moved = false
      write(piece)
    }
  }

  const control = (character: string): void => {
    if (character === '\r' || character === '\b' || character === '\t') moved = true
    else if ('\n\v\f'.includes(character)) {
      if (losesRows) lookAtScreen()
      moved ||= above
    } else if (character !== '\u000e' && character !== '\u000f') return
    write(character)
  }

  const sequence = (intermediates: string, final: string): void => {
    if (intermediates !== '' ? !'()'.includes(intermediates) : !'78DEMHc'.includes(final)) return
    if (intermediates === '') {
      if ('DEMc'.includes(final)) lookAtScreen()
      if ('8Mc'.includes(final)) above = true
      moved = true
      if (final === 'c') losesRows = false
    }
    write(ESC + intermediates + final)
  }

  const csi = ({prefix, parameters, intermediates, final}: CsiSequence): void => {
    if (parameters.includes(':') ? final !== 'm' : !isScreenCsi(prefix, intermediates, final)) return
    if (final === 'J' && parameters === '3') return
    const switches = prefix === '?' && alternateScreen.test(parameters)
    if (prefix === '?' && 'hl'.includes(final) && !switches && !/^[67]$/.test(parameters)) return
    if (final !== 'm') {
      if (changesScreen.has(final) || switches) lookAtScreen()
      else if (changesRow.has(final)) lookAtRow(0)
      if (movesUp.has(final) || switches) above = true
      if (switches) losesRows = final === 'h'
      if (final === 'r') losesRows = true
      moved = true
    }
    // Colours and modes have numbers that count nothing.
    const numbers = 'mhl'.includes(final) ? parameters : bounded(parameters, largest)
    write(`${ESC}[${prefix}${numbers}${final}`)
    // A repetition is text of which nothing is seen here.
    if (final === 'b') printed = true
    if (final === 'b' || changesScreen.has(final)) flush()
  }

  const parser = createEscapeParser({text: print, control, escape: sequence, csi, string: () => undefined})
  return {
    push(output) {
      steps = []
      parser.push(output)
      flush()
      return steps
    },
    resize(wide, high) {
      largest = Math.max(wide, high)
      above = true
      moved = true
    },
    atBottom() {
      above = false
    },
  }
}

function isScreenCsi(prefix: string, intermediates: string, final: string): boolean {
  if (intermediates !== '') return false
  if (prefix === '?') return 'hlJK'.includes(final)
  return prefix === '' && 'ABCDEFGHIJKLMPSTXZ`abdefhlmrsu@'.includes(final)
}

const bounded = (parameters: string, most: number): string =>
  parameters
    .split(';')
    .slice(0, 16)
    .map(value => (Number(value) > most && value.length > 1 ? String(most) : value))
    .join(';')
