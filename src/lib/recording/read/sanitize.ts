import {type CsiSequence, createEscapeParser} from './escape.js'

/**
 * Makes recorded output safe to show: what draws on the screen passes, what reaches outside of it does not. Titles,
 * the clipboard, hyperlinks and every other string sequence, reports that type into the terminal, keyboard and mouse
 * modes, window operations, printing and the scroll-back buffer are left out.
 */
export interface Sanitizer {
  /** The safe part of `text`; a sequence still open is held until it is complete. */
  push(text: string): string
  /** Sequences that undo what the output has left switched on, in the order that works. */
  restore(): string
}

const ESC = '\u001b'

/** Private modes that change only the picture, with the state a terminal begins in. */
const screenModes = new Map<number, boolean>([
  [5, false], // reverse video
  [6, false], // origin
  [7, true], // wrap at the margin
  [12, false], // cursor blinks
  [25, true], // cursor is visible
  [45, false], // wrap backwards
  [47, false], // alternate screen, three generations of it
  [69, false], // left and right margins
  [1047, false],
  [1048, false], // saved cursor
  [1049, false],
  [2026, false], // synchronised output
])

/** CSI without prefix and intermediates: cursor, erasing, insertion, scrolling, tabs, attributes, margins. */
const plainFinals = new Set('@ABCDEFGHIJKLMPSTXZ`abdefgmrsu')

/** CSI with intermediates that draw: rectangles, columns, scrolling sideways, the shape of the cursor, attributes. */
const drawing = new Set([
  ' @',
  ' A',
  ' q',
  '!p',
  '"q',
  '$r',
  '$t',
  '$v',
  '$x',
  '${',
  '$z',
  '*x',
  "'}",
  "'~",
  '#{',
  '#}',
])

/** ESC and one character: save and restore, line feeds, tab stop, character sets. */
const plainEscapes = new Set('78DEHMNOno|}~')

/** What `reset` is left to do: a full reset would also switch modes and empty the scroll-back buffer. */
const SOFT_RESET = `${ESC}[?1049l${ESC}[!p${ESC}[2J${ESC}[H`

const MAX_PARAMETERS = 32
const MAX_PARAMETER = 65_535

export function createSanitizer(): Sanitizer {
  const modes = new Map<number, boolean>()
  const undo = new Set<string>()
  let output = ''

  const setModes = ({parameters, final}: CsiSequence): void => {
    const on = final === 'h'
    const kept = parameters
      .split(';')
      .map(Number)
      .filter(mode => screenModes.has(mode))
    for (const mode of kept) modes.set(mode, on)
    if (kept.length > 0) output += `${ESC}[?${kept.join(';')}${final}`
  }

  const parser = createEscapeParser({
    text(text) {
      output += text
    },
    control(character) {
      // ENQ makes a terminal answer.
      if (character !== '\u0005') output += character
      if (character === '\u000e') undo.add('\u000f')
    },
    escape(intermediates, final) {
      if (intermediates === '' && final === 'c') output += SOFT_RESET
      else if (isHarmlessEscape(intermediates, final)) output += `${ESC}${intermediates}${final}`
      if (intermediates === '(') undo.add(`${ESC}(B`)
    },
    csi(sequence) {
      if (!isBounded(sequence.parameters)) return
      if (sequence.prefix === '?' && isModeSwitch(sequence)) return setModes(sequence)
      if (!isHarmlessCsi(sequence)) return
      const {prefix, parameters, intermediates, final} = sequence
      output += `${ESC}[${prefix}${parameters}${intermediates}${final}`
      const lasting = undoing.get(intermediates + final)
      if (lasting !== undefined) undo.add(lasting)
    },
    string: () => undefined,
  })

  return {
    push(text) {
      output = ''
      parser.push(text)
      return output
    },
    restore() {
      const changed = [...modes]
        .filter(([mode, on]) => mode !== 1048 && on !== screenModes.get(mode))
        .map(([mode, on]) => `${ESC}[?${mode}${on ? 'l' : 'h'}`)
      // Last switched on, first switched off: the alternate screen gives back the picture it was laid over.
      return changed.reverse().join('') + [...undo].join('')
    },
  }
}

/** What undoes a sequence whose effect lasts. Resetting the margins moves the cursor, so it is put back. */
const undoing = new Map([
  ['m', `${ESC}[0m`],
  [' q', `${ESC}[0 q`],
  ['h', `${ESC}[4l`],
  ['r', `${ESC}7${ESC}[r${ESC}8`],
])

const isModeSwitch = ({intermediates, final}: CsiSequence): boolean =>
  intermediates === '' && (final === 'h' || final === 'l')

/** Far beyond any screen a count only keeps the terminal busy. */
const isBounded = (parameters: string): boolean => {
  const numbers = parameters.split(/[;:]/)
  return numbers.length <= MAX_PARAMETERS && numbers.every(number => Number(number) <= MAX_PARAMETER)
}

/** Character sets 94 and 96, and the sizes of a line. `ESC %` would change the encoding of the terminal. */
function isHarmlessEscape(intermediates: string, final: string): boolean {
  if (intermediates === '') return plainEscapes.has(final)
  if (intermediates === '#') return '34568'.includes(final)
  return /^[()*+\-./][ -/]?$/.test(intermediates)
}

function isHarmlessCsi({prefix, parameters, intermediates, final}: CsiSequence): boolean {
  if (parameters.includes(':') && final !== 'm') return false
  if (prefix === '?')
    return intermediates === '' && 'JK'.includes(final) && !parameters.split(';').includes('3')
  if (prefix !== '') return false
  if (intermediates !== '') return drawing.has(intermediates + final)
  if (final === 'h' || final === 'l') return parameters === '4'
  // 3 J empties the scroll-back buffer; T with many parameters tracks the mouse.
  if (final === 'J') return parameters.split(';').every(value => Number(value) !== 3)
  if (final === 'T') return !parameters.includes(';')
  return plainFinals.has(final)
}
