import {isErrorCode, problem, type SallyportError} from '../../errors/index.js'

// How values travel between machines: JSON, in which bytes are `{"$bytes": base64}`. Times are Unix ms already, and
// dates do not occur.

/** Nothing that is sent is nested as deeply as this. */
const maxDepth = 32

/** Text of `value`. Keys without a value are left out. */
export const toWire = (value: unknown): string => JSON.stringify(tagged(value)) ?? 'null'

function tagged(value: unknown): unknown {
  if (Buffer.isBuffer(value)) return {$bytes: value.toString('base64')}
  if (Array.isArray(value)) return value.map(tagged)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([key, part]) => [key, tagged(part)]))
}

/** @throws protocol_error for what is not JSON, or nested too deeply */
export function fromWire(text: string): unknown {
  try {
    return untagged(JSON.parse(text), 0)
  } catch (cause) {
    throw problem('protocol_error', 'what the other machine sent is not valid', {cause})
  }
}

function untagged(value: unknown, depth: number): unknown {
  if (depth > maxDepth) throw problem('protocol_error', 'it is nested too deeply')
  if (Array.isArray(value)) return value.map(part => untagged(part, depth + 1))
  if (typeof value !== 'object' || value === null) return value
  const entries = Object.entries(value)
  const [first] = entries
  if (entries.length === 1 && first?.[0] === '$bytes' && typeof first[1] === 'string')
    return Buffer.from(first[1], 'base64')
  return Object.fromEntries(entries.map(([key, part]) => [key, untagged(part, depth + 1)]))
}

/** An error as the caller may see it: the words of an unforeseen one may hold anything, so they stay in the log. */
export const errorToWire = ({code, message, hint}: SallyportError): string =>
  JSON.stringify({
    error:
      code === 'internal'
        ? {code, message: 'the service met an error it did not expect'}
        : {code, message, hint},
  })

/** The error in an answer; protocol_error where there is none. */
export function errorFromWire(text: string): SallyportError {
  try {
    const {code, message, hint} = (JSON.parse(text) as {error: Record<string, unknown>}).error
    if (typeof code === 'string' && isErrorCode(code) && typeof message === 'string')
      return problem(code, message, typeof hint === 'string' ? {hint} : {})
  } catch {
    // Not an answer of ours: the error below says so.
  }
  return problem('protocol_error', 'the auth service answered with something that is not its protocol')
}

/**
 * Lines of a stream of bytes, without their line feed; what follows the last one is left out.
 * @throws limit_exceeded for a line longer than `maxBytes`
 */
export async function* linesOf(bytes: AsyncIterable<Buffer>, maxBytes: number): AsyncGenerator<string> {
  let parts: Buffer[] = []
  let size = 0
  for await (const chunk of bytes) {
    let from = 0
    for (let at = chunk.indexOf(10); at !== -1; at = chunk.indexOf(10, from)) {
      yield Buffer.concat([...parts, chunk.subarray(from, at)]).toString('utf8')
      parts = []
      size = 0
      from = at + 1
    }
    const rest = chunk.subarray(from)
    size += rest.length
    if (size > maxBytes) throw problem('limit_exceeded', 'a line of the other machine is too long')
    if (rest.length > 0) parts.push(rest)
  }
}

/** All of a stream of bytes. @throws limit_exceeded with the words of `tooMuch` beyond `maxBytes` */
export async function readAll(
  bytes: AsyncIterable<Buffer>,
  maxBytes: number,
  tooMuch = 'the other machine sends more than it may',
): Promise<Buffer> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of bytes) {
    size += chunk.length
    if (size > maxBytes) throw problem('limit_exceeded', tooMuch)
    chunks.push(chunk)
  }
  return Buffer.concat(chunks)
}
