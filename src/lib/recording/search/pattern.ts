import {problem} from '../../errors/index.js'
import {requiredPieces} from './pieces.js'

/** What to look for: text as it is, or a regular expression (ECMAScript, with `u`), in one line of the screen. */
export interface SearchPattern {
  text: string
  regex: boolean
  ignoreCase: boolean
}

/** Lines without an end are kept in pieces that overlap by as much. */
const PATTERN_CHARACTERS = 256
/** Of a longer line the part around the match is shown. */
const SHOWN_CHARACTERS = 400

/** Throws `invalid_input` for nothing, for too much, and for a regular expression that is none. */
export function requirePattern(pattern: SearchPattern): void {
  const {text, regex} = pattern
  if (text.trim() === '' || text.length > PATTERN_CHARACTERS)
    throw problem('invalid_input', `the text to look for must have 1 to ${PATTERN_CHARACTERS} characters`)
  if (!regex) return
  try {
    new RegExp(text.normalize('NFC'), 'u')
  } catch (cause) {
    throw problem('invalid_input', 'that is not a regular expression', {
      hint: 'leave --regex out to look for the text as it is',
      cause,
    })
  }
}

/** Strings that stand in every line that matches. */
export const piecesOf = ({text, regex}: SearchPattern): string[] =>
  regex ? requiredPieces(text.normalize('NFC')) : [text.normalize('NFC')]

/** Gives a line that matches as it is to be shown, and undefined for every other. */
export function createMatcher({
  text,
  regex,
  ignoreCase,
}: SearchPattern): (line: string) => string | undefined {
  const wanted = text.normalize('NFC')
  const position = positionOf(wanted, regex, ignoreCase)
  return line => {
    const at = position(line)
    return at < 0 ? undefined : excerpt(line, at)
  }
}

function positionOf(wanted: string, regex: boolean, ignoreCase: boolean): (line: string) => number {
  if (!regex && !ignoreCase) return line => line.indexOf(wanted)
  // Case is ignored in one way, whether the text is an expression or not.
  const source = regex ? wanted : wanted.replaceAll(/[\^$\\.*+?()[\]{}|/]/g, '\\$&')
  const expression = new RegExp(source, ignoreCase ? 'iu' : 'u')
  return line => line.search(expression)
}

function excerpt(line: string, at: number): string {
  if (line.length <= SHOWN_CHARACTERS) return line
  const from = Math.min(Math.max(0, at - 80), line.length - SHOWN_CHARACTERS)
  const to = from + SHOWN_CHARACTERS
  return `${from > 0 ? '…' : ''}${line.slice(from, to)}${to < line.length ? '…' : ''}`
}
