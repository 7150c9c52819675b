import {createEscapeParser} from '../read/escape.js'

/** Turns output into lines as a person would have read them on a screen that never scrolls away. */
export interface TextExtractor {
  /** The lines that became complete, each with its line break. */
  push(text: string): string
  /** The rest. */
  end(): string
}

/** A line longer than this is broken: no terminal is that wide, and memory stays bounded. */
const LINE_CHARACTERS = 16 * 1024
const TAB = 8

/**
 * Follows what edits one line (carriage return, backspace, tabs, erasing, moving left and right), so that a command
 * typed with corrections reads as it was run. A sequence that moves to another line begins a new one.
 */
export function createTextExtractor(): TextExtractor {
  let line: string[] = []
  let column = 0
  let output = ''

  const breakLine = (): void => {
    output += `${line.join('').trimEnd()}\n`
    line = []
    column = 0
  }

  const leaveLine = (): void => {
    if (line.length > 0) breakLine()
    column = 0
  }

  const move = (to: number): void => {
    column = Math.min(Math.max(to, 0), LINE_CHARACTERS - 1)
    while (line.length < column) line.push(' ')
  }

  const print = (text: string): void => {
    for (const character of text) {
      if (column >= LINE_CHARACTERS) breakLine()
      line[column] = character
      column += 1
    }
  }

  const eraseInLine = (how: number): void => {
    if (how === 0) line.length = Math.min(line.length, column)
    else if (how === 1) line.fill(' ', 0, column + 1)
    else if (how === 2) line.fill(' ')
  }

  const csi = (final: string, count: number, given: number): void => {
    if (final === 'C' || final === 'a') move(column + count)
    else if (final === 'D') move(column - count)
    else if (final === 'G' || final === '`') move(count - 1)
    else if (final === 'K') eraseInLine(given)
    else if (final === 'P') line.splice(column, count)
    else if (final === '@') line.splice(column, 0, ...Array<string>(Math.min(count, 1000)).fill(' '))
    else if (final === 'X') line.fill(' ', column, column + count)
    else if ('ABEFHfdeJrhl'.includes(final)) leaveLine()
  }

  const parser = createEscapeParser({
    text: print,
    control(character) {
      if (character === '\n' || character === '\v' || character === '\f') breakLine()
      else if (character === '\r') column = 0
      else if (character === '\b') move(column - 1)
      else if (character === '\t') move(column - (column % TAB) + TAB)
    },
    escape(intermediates, final) {
      if (intermediates === '' && 'EMDc'.includes(final)) leaveLine()
    },
    csi({prefix, parameters, intermediates, final}) {
      // Modes do not move the cursor, but for the alternate screen.
      const switches = final === 'h' || final === 'l'
      if (intermediates !== '' || (switches && !/(^|;)(47|1047|1049)(;|$)/.test(parameters))) return
      if (prefix !== '' && !switches) return
      const given = Number.parseInt(parameters, 10) || 0
      csi(final, Math.max(given, 1), given)
    },
    string: () => undefined,
  })

  const take = (): string => {
    const taken = output
    output = ''
    return taken
  }

  return {
    push(text) {
      parser.push(text)
      return take()
    },
    end() {
      leaveLine()
      return take()
    },
  }
}
