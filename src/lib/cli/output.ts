import {wantsColour} from './colour.js'
import {safeLines} from './text.js'

export const formats = ['text', 'json', 'yaml'] as const
export type Format = (typeof formats)[number]

/** What output needs of a stream; `process.stdout` is one. */
export interface OutputStream {
  isTTY?: boolean
  columns?: number
  write(text: string): unknown
}

export interface RenderOptions {
  format: Format
  /** The words for people. Without colour on the stream, colour sequences in it are dropped. */
  text: () => string
  stream?: OutputStream
  env?: NodeJS.ProcessEnv
}

/** Writes `value` for machines or its text for people, ending with one line break; empty text writes nothing. */
export async function render(
  value: unknown,
  {format, text, stream = process.stdout, env = process.env}: RenderOptions,
): Promise<void> {
  const output = format === 'text' ? safeLines(text(), wantsColour(stream, env)) : await encode(value, format)
  if (output !== '') stream.write(output.endsWith('\n') ? output : `${output}\n`)
}

/**
 * The same for several values: one JSON array, or YAML documents with `---` between them, as files of resources have
 * them.
 */
export async function renderAll(values: readonly unknown[], options: RenderOptions): Promise<void> {
  if (options.format !== 'yaml') return render(values, options)
  const {stream = process.stdout} = options
  const documents = await Promise.all(values.map(yamlText))
  if (documents.length > 0) stream.write(documents.join('---\n'))
}

const encode = async (value: unknown, format: 'json' | 'yaml'): Promise<string> =>
  format === 'json' ? jsonText(value) : await yamlText(value)

/** Width for tables on `stream`: its columns on a terminal, no limit elsewhere. */
export const tableWidth = (stream: OutputStream = process.stdout): {width?: number} =>
  stream.isTTY === true && stream.columns !== undefined ? {width: stream.columns} : {}

// JSON and double-quoted YAML escape C0 themselves; DEL, C1 and bidirectional controls are left to us.
const loose = /[\u007f-\u009f\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069]/g
const unicodeEscape = (character: string): string =>
  `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`

/** JSON with two blanks of indent. bigint becomes a decimal string, Date an ISO 8601 one, bytes base64. */
export const jsonText = (value: unknown): string => encodeJson(value, 2)

/** The same on one line, for stderr and for streams of records. */
export const jsonLine = (value: unknown): string => encodeJson(value)

const encodeJson = (value: unknown, indent?: number): string =>
  (JSON.stringify(plain(value), undefined, indent) ?? 'null').replace(loose, unicodeEscape)

export async function yamlText(value: unknown): Promise<string> {
  const {Document, isScalar, visit} = await import('yaml')
  const document = new Document(plain(value))
  visit(document, {
    Scalar: (_key, node) => {
      if (isScalar(node) && typeof node.value === 'string' && hasControls(node.value))
        node.type = 'QUOTE_DOUBLE'
    },
  })
  return document.toString({lineWidth: 0}).replace(loose, unicodeEscape)
}

const hasControls = (text: string): boolean =>
  text.search(loose) !== -1 || /\p{Cc}/u.test(text.replace(/[\t\n]/g, ''))

function plain(value: unknown): unknown {
  if (typeof value === 'bigint') return value.toString()
  if (value instanceof Date) return value.toISOString()
  if (value instanceof Uint8Array) return Buffer.from(value).toString('base64')
  if (Array.isArray(value)) return value.map(plain)
  if (value instanceof Map) return plain(Object.fromEntries(value))
  if (value !== null && typeof value === 'object')
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, plain(item)]))
  return value
}
