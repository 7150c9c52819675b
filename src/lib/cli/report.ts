import {stripVTControlCharacters} from 'node:util'
import {asProblem, problem, problemLine, SallyportError} from '../errors/index.js'
import {jsonLine} from './output.js'
import {safe, safeLines} from './text.js'

export interface ReportContext {
  /** As typed: `users add`. Absent when no command was found. */
  command?: string
  debug: boolean
  json: boolean
}

interface ParserError extends Error {
  oclif: {exit?: number}
  code?: string
  args?: unknown
  flags?: unknown
}

const isParserError = (thrown: unknown): thrown is ParserError =>
  thrown instanceof Error && 'oclif' in thrown && typeof thrown.oclif === 'object' && thrown.oclif !== null

/** The status of an `exit()` on purpose, undefined for anything that is a real error. */
export const exitStatus = (thrown: unknown): number | undefined =>
  isParserError(thrown) && thrown.code === 'EEXIT' ? (thrown.oclif.exit ?? 0) : undefined

/** Anything a command throws, as an error with a code: parser errors are the user's, the rest are ours. */
export function toProblem(thrown: unknown, command?: string): SallyportError {
  if (thrown instanceof SallyportError) return thrown
  if (isParserError(thrown)) {
    const help = command === undefined ? 'sallyport --help' : `sallyport ${command} --help`
    return problem('usage', parserMessage(thrown), {hint: `see ${help}`, cause: thrown})
  }
  const cause = asProblem(thrown)
  return problem('internal', `unexpected error: ${cause.message}`, {
    hint: 'run again with --debug',
    cause: thrown,
  })
}

/** oclif's message in one line, without its help and lists. */
function parserMessage(error: ParserError): string {
  const message = error.message.replace(/\n?See more help with --help\s*$/, '')
  if (/^Missing \d+ required arg/.test(message)) {
    const names = argumentNames(error.args)
    return `missing argument${names.length === 1 ? '' : 's'} ${names.join(' ')}`
  }
  if (message.startsWith('Nonexistent flag'))
    return message.replace(/^Nonexistent flag(s?): /, 'unknown flag$1 ')
  const unknown = /^command (\S+) not found$/.exec(message)?.[1]
  if (unknown !== undefined) return `there is no command "${unknown.replaceAll(':', ' ')}"`
  const line = message
    .replace(/^The following errors? occurred:/, '')
    .replace(/^Parsing (--\S+)\s*\n/, '$1: ')
    .split('\n')
    .map(part => stripVTControlCharacters(part).replace(/\s+/g, ' ').trim())
    .filter(part => part !== '')
    .join('; ')
  return line.charAt(0).toLowerCase() + line.slice(1)
}

const argumentNames = (list: unknown): string[] =>
  Array.isArray(list) ? list.map(item => String((item as {name?: unknown}).name).toUpperCase()) : []

/**
 * What goes to stderr: `sallyport: message; hint [code]`, or one JSON object; with `debug` also every cause with its
 * stack. A message of several lines (a list of configuration errors) keeps the later ones below the first.
 */
export function describe(error: SallyportError, {debug, json}: ReportContext): string {
  if (json) {
    const {code, message, hint} = error
    return `${jsonLine({error: {code, message, ...(hint ? {hint} : {}), ...(debug ? {causes: causes(error)} : {})}})}\n`
  }
  const [first = '', ...rest] = error.message.split('\n')
  const head = problemLine(problem(error.code, first, error.hint ? {hint: error.hint} : {}))
  return [
    `sallyport: ${safe(head)}`,
    ...rest.map(safe),
    ...(debug ? causes(error).map(stack => safeLines(stack, false)) : []),
    '',
  ].join('\n')
}

const maxCauses = 16

function causes(error: unknown): string[] {
  const stacks: string[] = []
  for (let cause = error; cause !== undefined && stacks.length < maxCauses; ) {
    const stack = cause instanceof Error ? (cause.stack ?? cause.message) : String(cause)
    stacks.push(stacks.length === 0 ? stack : `caused by: ${stack}`)
    cause = cause instanceof Error ? cause.cause : undefined
  }
  return stacks
}

// Where nothing was parsed, the flags are read from the arguments as they stand.

/** The arguments that are not those of a remote command. */
export const ownArguments = (argv: readonly string[]): readonly string[] => {
  const end = argv.indexOf('--')
  return end === -1 ? argv : argv.slice(0, end)
}

export const asksForJson = (argv: readonly string[]): boolean =>
  argv.some((word, i) => word === '--format=json' || (word === '--format' && argv[i + 1] === 'json'))
