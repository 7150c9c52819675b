/**
 * Strings that stand in every line which a regular expression (ECMAScript, with `u`) matches; few where that is hard to
 * say. Pure, and linear in its length; an expression that is none has some answer too.
 */
export function requiredPieces(expression: string): string[] {
  const pieces: string[] = []
  // By characters, not by code units: a quantifier takes all of the character before it.
  const characters = [...expression]
  let run: string[] = []
  let depth = 0
  const end = (): void => {
    if (run.length > 0 && depth === 0) pieces.push(run.join(''))
    run = []
  }
  for (let at = 0; at < characters.length; at++) {
    const character = characters[at] ?? ''
    // What stands in a group counts for nothing, so its alternatives do not matter either.
    if (character === '|' && depth === 0) return []
    if (character === '\\') {
      const escaped = characters[at + 1] ?? ''
      if (SYNTAX.includes(escaped)) run.push(escaped)
      else end()
      at = endOfEscape(characters, at + 1)
    } else if ('?*{'.includes(character)) {
      run.pop()
      end()
      if (character === '{') at = skipTo(characters, at, '}')
    } else if ('.^$+'.includes(character)) end()
    else if (character === '[') {
      end()
      at = skipTo(characters, at + 1, ']')
    } else if ('()'.includes(character)) {
      end()
      depth += character === '(' ? 1 : -1
    } else run.push(character)
  }
  end()
  return pieces
}

/** These stand for themselves after a backslash; everything else there is a class, a place, a number or a name. */
const SYNTAX = '^$\\.*+?()[]{}|/'

/** Where the escape ends whose letter is at `at`. */
function endOfEscape(characters: readonly string[], at: number): number {
  const named = characters[at + 1]
  switch (characters[at]) {
    case 'u':
      return named === '{' ? skipTo(characters, at, '}') : at + 4
    case 'p':
    case 'P':
      return skipTo(characters, at, '}')
    case 'k':
      return skipTo(characters, at, '>')
    case 'x':
      return at + 2
    case 'c':
      return at + 1
    default:
      return /\d/.test(characters[at] ?? '') ? endOfNumber(characters, at) : at
  }
}

function endOfNumber(characters: readonly string[], from: number): number {
  let at = from
  while (/\d/.test(characters[at + 1] ?? '')) at += 1
  return at
}

function skipTo(characters: readonly string[], from: number, closing: string): number {
  let at = from
  while (at < characters.length && characters[at] !== closing) at += characters[at] === '\\' ? 2 : 1
  return at
}
