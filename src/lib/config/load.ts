import {problem, type SallyportError} from '../errors/index.js'
import {checkDocument, readDocuments} from './document.js'
import {type FileConfig, fileSchema} from './schema.js'

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
  const {documents, errors} = readDocuments(text, name)
  const [document, second] = documents
  if (second) errors.push(`${second.at([])}: a configuration is one document`)
  if (errors.length > 0 || !document) throw invalid(errors)
  const checked = checkDocument(document, fileSchema)
  if (!checked.ok) throw invalid(checked.errors)
  const {sallyport, teleport} = checked.value
  if (sallyport && teleport)
    throw invalid([`${document.at(['teleport'], 'key')}: teleport: the same section as sallyport: keep one`])
  return {config: checked.value, at: (...path) => document.at(path)}
}

const invalid = (errors: readonly string[]): SallyportError =>
  problem('config_invalid', errors.join('\n'), {hint: 'see docs/configuration.md'})
