/** One use of `sallyport` in a text of shell commands: the words after the program's name. */
export type CommandLine = string[]

/**
 * The `sallyport` commands in a block of shell lines. Lines of a transcript begin with `$ `; the others of a block that has
 * such lines are output, unless a line before goes on (a backslash at its end, or an open parenthesis or quote).
 */
export function sallyportCommands(block: string): CommandLine[] {
  return commandTexts(block).flatMap(text =>
    splitCommands(text)
      .map(words => words.slice(words.findIndex(word => !/^([A-Z_]+=.*|sudo|exec)$/.test(word))))
      .filter(words => words[0] === 'sallyport')
      .map(words => words.slice(1)),
  )
}

/** Whole commands as typed, lines that go on joined. */
export function commandTexts(block: string): string[] {
  const lines = block.split('\n')
  if (!lines.some(line => line.startsWith('$ '))) return [block]
  const commands: string[] = []
  let open = false
  for (const line of lines) {
    if (line.startsWith('$ ')) commands.push(line.slice(2))
    else if (open) commands[commands.length - 1] += `\n${line}`
    open = goesOn(commands.at(-1) ?? '')
  }
  return commands
}

function goesOn(text: string): boolean {
  if (text.endsWith('\\')) return true
  const bare = text.replace(/'[^']*'|"(?:[^"\\]|\\.)*"/g, '')
  return /['"]/.test(bare) || (bare.match(/\(/g)?.length ?? 0) > (bare.match(/\)/g)?.length ?? 0)
}

/** Shell words, command by command: enough of a shell for what stands in a manual. */
function splitCommands(text: string): string[][] {
  const commands: string[][] = [[]]
  const token =
    /\\\n|#[^\n]*|\d?>>?&?\d?|[|&;()\n]+|(?:'[^']*'|"(?:[^"\\]|\\.)*"|\$\([^)]*\)|\\.|[^\s'"|&;()<>])+/g
  for (const [word] of text.matchAll(token)) {
    if (word.startsWith('\\\n') || word.startsWith('#')) continue
    if (/^[|&;()\n]+$/.test(word)) commands.push([])
    else if (/^\d?>>?/.test(word)) commands.at(-1)?.push('>')
    else commands.at(-1)?.push(word.replace(/'([^']*)'|"((?:[^"\\]|\\.)*)"/g, '$1$2'))
  }
  // What stands after a redirection is a file's name.
  return commands.map(words => words.filter((word, at) => word !== '>' && words[at - 1] !== '>'))
}

interface ManifestFlag {
  name: string
  char?: string
  type: 'boolean' | 'option'
  allowNo?: boolean
  options?: string[]
  required?: boolean
}

export interface Manifest {
  commands: Record<
    string,
    {flags: Record<string, ManifestFlag>; args: Record<string, {required?: boolean}>; strict?: boolean}
  >
}

/** Commands that oclif's plugins bring. */
const foreign = new Set(['help', 'autocomplete', '--help', '--version'])

/** What is wrong with a command line; undefined when the command would take it. */
export function complaint(words: CommandLine, {commands}: Manifest): string | undefined {
  if (words.length === 0 || foreign.has(words[0] ?? '')) return undefined
  const two = words.slice(0, 2).join(':')
  const id = commands[two] ? two : (words[0] ?? '')
  const command = commands[id]
  if (!command) return `there is no command ${words.slice(0, 2).join(' ')}`
  const flags = Object.values(command.flags)
  const given = new Set<string>()
  let args = 0
  const rest = words.slice(id === two ? 2 : 1)
  for (let at = 0; at < rest.length; at++) {
    const word = rest[at] ?? ''
    // What follows the host is the remote command.
    if (word === '--' || (id === 'ssh' && args > 1)) break
    if (!/^-./.test(word)) {
      args++
      continue
    }
    const [, long, short, attached] = /^(?:--([^=]+)|-(.))(?:=?(.*))$/s.exec(word) ?? []
    const flag = flags.find(
      ({name, char, allowNo}) =>
        name === long || (short && char === short) || (allowNo && `no-${name}` === long),
    )
    if (word === '--help') return undefined
    if (!flag) return `${id} has no flag ${word}`
    given.add(flag.name)
    if (flag.type === 'boolean') continue
    const value = attached || rest[++at]
    if (value === undefined) return `${word} of ${id} wants a value`
    if (flag.options && !flag.options.includes(value) && !/^[A-Z]/.test(value))
      return `${flag.name} of ${id} cannot be ${value}`
  }
  const missing = flags.find(flag => flag.required && !given.has(flag.name))
  if (missing) return `${id} wants --${missing.name}`
  const known = Object.values(command.args)
  if (args < known.filter(({required}) => required).length) return `${id} wants more arguments`
  if (args > known.length && command.strict !== false && id !== 'ssh') return `${id} takes fewer arguments`
  return undefined
}
