/** One word of a command line, as bytes of its text; `glob` where the shell would expand it. */
export interface ShellWord {
  text: string
  glob: boolean
}

/** Longest command line that is looked at. */
const maxCharacters = 32 * 1024

/**
 * The words of one simple command as a POSIX shell would see them (quoting of XCU §2.2). Undefined for anything that
 * is more than that: several commands, redirections, variables, substitutions, comments.
 */
export function shellWords(line: string): ShellWord[] | undefined {
  if (line.length > maxCharacters) return undefined
  const words: ShellWord[] = []
  let word: ShellWord | undefined
  const add = (text: string, glob = false): void => {
    word ??= {text: '', glob: false}
    word.text += text
    word.glob ||= glob
  }
  for (let at = 0; at < line.length; at++) {
    const character = line.charAt(at)
    if (character === ' ' || character === '\t') {
      if (word) words.push(word)
      word = undefined
    } else if (character === '\\') {
      if (++at >= line.length || line[at] === '\n') return undefined
      add(line.charAt(at))
    } else if (character === "'") {
      const end = line.indexOf("'", at + 1)
      if (end < 0) return undefined
      add(line.slice(at + 1, end))
      at = end
    } else if (character === '"') {
      const quoted = doubleQuoted(line, at + 1)
      if (!quoted) return undefined
      add(quoted.text)
      at = quoted.end
    } else if (isSpecial(character, word === undefined)) {
      return undefined
    } else {
      add(character, isExpanded(character, word === undefined))
    }
  }
  if (word) words.push(word)
  return words
}

const isSpecial = (character: string, first: boolean): boolean =>
  ';|&<>()$`\n\r'.includes(character) || (first && character === '#')

const isExpanded = (character: string, first: boolean): boolean =>
  '*?[{'.includes(character) || (first && character === '~')

function doubleQuoted(line: string, start: number): {text: string; end: number} | undefined {
  let text = ''
  for (let at = start; at < line.length; at++) {
    const character = line.charAt(at)
    if (character === '"') return {text, end: at}
    if (character === '$' || character === '`') return undefined
    if (character === '\\' && '$`"\\'.includes(line.charAt(at + 1))) text += line.charAt(++at)
    else text += character
  }
  return undefined
}
