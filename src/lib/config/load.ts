import {isMap, isScalar, LineCounter, parseDocument} from 'yaml'
import type {z} from 'zod'
import {problem, type SallyportError} from '../errors/index.js'
import {type FileConfig, fileSchema, knownKeys} from './schema.js'

/** A configuration file as it was read. */
export interface LoadedFile {
  config: FileConfig
  /** `file:line:col` of the value at a path, or of the nearest section that is there. */
  at(...path: PropertyKey[]): string
}

/**
 * Reads a configuration. Throws `config_invalid` with one line per error, each `file:line:col: path: message`.
 * @param name the file's name, as the person gave it
 */
export function parseConfig(text: string, name: string): LoadedFile {
  const lines = new LineCounter()
  const document = parseDocument(text, {lineCounter: lines, prettyErrors: false, uniqueKeys: true})
  const place = (offset: number): string => {
    const {line, col} = lines.linePos(offset)
    return `${name}:${line || 1}:${col || 1}`
  }
  if (document.errors.length > 0)
    throw invalid(
      document.errors.map(
        error => `${place(error.pos[0])}: ${error.message.split('\n')[0]?.replace(/\.$/, '')}`,
      ),
    )
  const offsetOf = (path: readonly PropertyKey[], key: boolean): number => offset(document, path, key)
  const parsed = fileSchema.safeParse(toJs(document, name) ?? {}, {reportInput: true})
  if (!parsed.success)
    throw invalid(
      parsed.error.issues
        .flatMap(spread)
        .map(issue => ({offset: offsetOf(issue.path, issue.key), line: issue}))
        .sort((a, b) => a.offset - b.offset)
        .map(
          ({offset: from, line}) =>
            `${place(from)}: ${[line.path.map(String).join('.'), line.message].filter(part => part !== '').join(': ')}`,
        ),
    )
  const {sallyport, teleport} = parsed.data
  if (sallyport && teleport)
    throw invalid([
      `${place(offsetOf(['teleport'], true))}: teleport: the same section as sallyport: keep one`,
    ])
  return {config: parsed.data, at: (...path) => place(offsetOf(path, false))}
}

const invalid = (errors: readonly string[]): SallyportError =>
  problem('config_invalid', errors.join('\n'), {hint: 'see docs/configuration.md'})

type YamlDocument = ReturnType<typeof parseDocument>

// An alias to itself, or too many of them, is refused here by the YAML library.
function toJs(document: YamlDocument, name: string): unknown {
  try {
    return document.toJS()
  } catch (cause) {
    throw problem('config_invalid', `${name}:1:1: ${cause instanceof Error ? cause.message : cause}`, {cause})
  }
}

interface Complaint {
  path: PropertyKey[]
  message: string
  /** Whether the key is wrong and not its value. */
  key: boolean
}

/** An issue of zod in words; one about several unknown keys becomes several. */
function spread(issue: z.core.$ZodIssue): Complaint[] {
  if (issue.code === 'unrecognized_keys')
    return issue.keys.map(key => ({
      path: [...issue.path, key],
      message: `unknown key${suggestion(key, knownKeys(issue.path))}`,
      key: true,
    }))
  if (issue.code === 'invalid_type' && issue.expected !== 'int')
    return [
      {
        path: issue.path,
        message: `expected ${typeName(issue.expected)}, found ${found(issue.input)}`,
        key: false,
      },
    ]
  return [{path: issue.path, message: issue.message, key: false}]
}

const typeNames: Readonly<Record<string, string>> = {
  string: 'text',
  object: 'a section of keys',
  record: 'a section of keys',
  array: 'a list',
}

const typeName = (expected: string): string => typeNames[expected] ?? `a ${expected}`

const found = (value: unknown): string => {
  if (value === undefined) return 'nothing'
  if (value === null) return 'no value'
  if (Array.isArray(value)) return 'a list'
  return typeof value === 'object'
    ? 'a section of keys'
    : typeof value === 'string'
      ? 'text'
      : `a ${typeof value}`
}

/** Byte offset of the value (or key) at `path`; of the nearest thing around it where it is not in the file. */
function offset(document: YamlDocument, path: readonly PropertyKey[], wantKey: boolean): number {
  for (let length = path.length; length > 0; length -= 1) {
    const parent = length === 1 ? document.contents : document.getIn(path.slice(0, length - 1), true)
    const last = path[length - 1]
    if (isMap(parent)) {
      const pair = parent.items.find(item => isScalar(item.key) && String(item.key.value) === String(last))
      const node = pair && (wantKey && length === path.length ? pair.key : (pair.value ?? pair.key))
      const from = rangeStart(node)
      if (from !== undefined) return from
    } else {
      const from = rangeStart(document.getIn(path.slice(0, length), true))
      if (from !== undefined) return from
    }
  }
  return 0
}

const rangeStart = (node: unknown): number | undefined => {
  const range = (node as {range?: readonly number[] | null} | null | undefined)?.range
  return range?.[0]
}

/** ` (did you mean x?)` for the known key that is at most two letters away. */
function suggestion(key: string, known: readonly string[]): string {
  const near = known
    .map(name => ({name, distance: editDistance(key, name)}))
    .filter(({distance}) => distance <= 2)
    .sort((a, b) => a.distance - b.distance)[0]
  return near ? ` (did you mean ${near.name}?)` : ''
}

/** Levenshtein distance; long strangers are not measured. */
function editDistance(a: string, b: string): number {
  if (Math.abs(a.length - b.length) > 2) return Number.POSITIVE_INFINITY
  let row = Array.from({length: b.length + 1}, (_, i) => i)
  for (let i = 1; i <= a.length; i += 1) {
    const next = [i]
    for (let j = 1; j <= b.length; j += 1) {
      const replaced = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1)
      next.push(Math.min((row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1, replaced))
    }
    row = next
  }
  return row[b.length] ?? 0
}
