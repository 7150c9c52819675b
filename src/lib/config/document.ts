import {createRequire} from 'node:module'
import {z} from 'zod'
import {nearNames} from '../names/index.js'

type Yaml = typeof import('yaml')

/** Seventy modules, and most commands find no file to read. */
const yaml = (): Yaml => createRequire(import.meta.url)('yaml') as Yaml

/** One document of a YAML file. */
export interface LocatedDocument {
  /** What it says; an empty document is an empty section. */
  value: unknown
  /** Where a value begins, counted in characters from the start of the file; the nearest there is around it. */
  offset(path: readonly PropertyKey[], what?: 'value' | 'key'): number
  /** The same as `file:line:col`. */
  at(path: readonly PropertyKey[], what?: 'value' | 'key'): string
}

/**
 * Reads the documents of a YAML file; at least one. What is no YAML is said in `errors`, one line each, beginning with
 * `file:line:col`.
 * @param name the file's name, as the person gave it
 */
export function readDocuments(text: string, name: string): {documents: LocatedDocument[]; errors: string[]} {
  const {LineCounter, parseAllDocuments} = yaml()
  const lines = new LineCounter()
  const place = (at: number): string => {
    const {line, col} = lines.linePos(at)
    return `${name}:${line || 1}:${col || 1}`
  }
  const options = {lineCounter: lines, prettyErrors: false, uniqueKeys: true}
  // A file without anything in it is one empty document.
  const parsed =
    [parseAllDocuments(text, options), parseAllDocuments('{}')].find(({length}) => length > 0) ?? []
  const errors = parsed.flatMap(document =>
    document.errors.map(
      error => `${place(error.pos[0])}: ${error.message.split('\n')[0]?.replace(/\.$/, '')}`,
    ),
  )
  if (errors.length > 0) return {documents: [], errors}
  const documents: LocatedDocument[] = []
  for (const document of parsed) {
    const offset: LocatedDocument['offset'] = (path, what) => find(document, path, what === 'key')
    const at: LocatedDocument['at'] = (path, what) => place(offset(path, what))
    try {
      documents.push({value: document.toJS() ?? {}, offset, at})
    } catch (error) {
      // An alias to itself, or too many of them, is refused here by the YAML library.
      errors.push(`${at([])}: ${error instanceof Error ? error.message : error}`)
    }
  }
  return {documents, errors}
}

export type Checked<T> = {ok: true; value: T} | {ok: false; errors: string[]}

/** Holds a document to a schema. Errors are `file:line:col: path: message`, in the order of the file. */
export function checkDocument<T>(document: LocatedDocument, schema: z.ZodType<T>): Checked<T> {
  const parsed = schema.safeParse(document.value, {reportInput: true})
  if (parsed.success) return {ok: true, value: parsed.data}
  const errors = complaintsOf(schema, parsed.error)
    .map(({path, message, key}) => ({path, message, what: key ? ('key' as const) : ('value' as const)}))
    .map(({path, message, what}) => ({
      offset: document.offset(path, what),
      line: `${document.at(path, what)}: ${inPath(path, message)}`,
    }))
    .sort((a, b) => a.offset - b.offset)
    .map(({line}) => line)
  return {ok: false, errors}
}

/** What is wrong with a value that did not come from a file: `path: message`, one for each error. */
export const complaints = (schema: z.ZodType, error: z.ZodError): string[] =>
  complaintsOf(schema, error).map(({path, message}) => inPath(path, message))

const complaintsOf = (schema: z.ZodType, error: z.ZodError): Complaint[] =>
  error.issues.flatMap(issue => spread(schema, issue))

const inPath = (path: readonly PropertyKey[], message: string): string =>
  [path.map(String).join('.'), message].filter(part => part !== '').join(': ')

type YamlDocument = ReturnType<Yaml['parseAllDocuments']>[number]

interface Complaint {
  path: PropertyKey[]
  message: string
  /** Whether the key is wrong and not its value. */
  key: boolean
}

/** An issue of zod in words; one about several unknown keys becomes several. */
function spread(schema: z.ZodType, issue: z.core.$ZodIssue): Complaint[] {
  if (issue.code === 'unrecognized_keys')
    return issue.keys.map(key => ({
      path: [...issue.path, key],
      message: `unknown key${suggestion(key, knownKeys(schema, issue.path))}`,
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

/** Offset of the value (or key) at `path`; of the nearest thing around it where it is not in the file. */
function find(document: YamlDocument, path: readonly PropertyKey[], wantKey: boolean): number {
  for (let length = path.length; length > 0; length -= 1) {
    const parent = length === 1 ? document.contents : document.getIn(path.slice(0, length - 1), true)
    const last = path[length - 1]
    if (yaml().isMap(parent)) {
      const pair = parent.items.find(
        item => yaml().isScalar(item.key) && String(item.key.value) === String(last),
      )
      const node = pair && (wantKey && length === path.length ? pair.key : (pair.value ?? pair.key))
      const from = rangeStart(node)
      if (from !== undefined) return from
    } else {
      const from = rangeStart(document.getIn(path.slice(0, length), true))
      if (from !== undefined) return from
    }
  }
  return document.range?.[0] ?? 0
}

const rangeStart = (node: unknown): number | undefined => {
  const range = (node as {range?: readonly number[] | null} | null | undefined)?.range
  return range?.[0]
}

/** ` (did you mean x?)` for the known key that is at most two letters away. */
function suggestion(key: string, known: readonly string[]): string {
  const [near] = nearNames(key, known)
  return near !== undefined ? ` (did you mean ${near}?)` : ''
}

interface JsonSchema {
  properties?: Record<string, JsonSchema>
  items?: JsonSchema
  anyOf?: JsonSchema[]
}

/** The keys known in the section at `path`; empty where any key or none is. */
export function knownKeys(schema: z.ZodType, path: readonly PropertyKey[]): string[] {
  let node: JsonSchema | undefined = z.toJSONSchema(schema, {
    io: 'input',
    unrepresentable: 'any',
  }) as JsonSchema
  for (const part of path) {
    node = section(node)
    node = typeof part === 'number' ? node?.items : node?.properties?.[String(part)]
  }
  return Object.keys(section(node)?.properties ?? {})
}

const section = (node: JsonSchema | undefined): JsonSchema | undefined =>
  node?.anyOf?.find(option => option.properties ?? option.items) ?? node
