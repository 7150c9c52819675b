import {catalogue, type ErrorCode, isErrorCode} from './catalogue.js'

/**
 * An error made for a person: what happened, what to do about it, and the code it is known by.
 * The cause is kept for `--debug` and never shown otherwise.
 */
export class SallyportError extends Error {
  override readonly name = 'SallyportError'

  constructor(
    readonly code: ErrorCode,
    message: string,
    readonly hint?: string,
    options?: {cause?: unknown},
  ) {
    super(message, options)
  }

  get exitCode(): number {
    return catalogue[this.code]
  }
}

/** Builds an error; `hint` is an instruction that follows the message after a semicolon. */
export const problem = (
  code: ErrorCode,
  message: string,
  details: {hint?: string; cause?: unknown} = {},
): SallyportError =>
  new SallyportError(
    code,
    message,
    details.hint,
    details.cause === undefined ? undefined : {cause: details.cause},
  )

/** Anything thrown, as a SallyportError: foreign errors become `fallback` with their own words as the message. */
export function asProblem(thrown: unknown, fallback: ErrorCode = 'internal'): SallyportError {
  if (thrown instanceof SallyportError) return thrown
  const message = thrown instanceof Error ? thrown.message : String(thrown)
  return problem(fallback, message, {cause: thrown})
}

/** Whether a service is not there, or as good as not there: nothing that it says. */
export const isAway = (error: unknown): boolean =>
  error instanceof SallyportError && (error.code === 'unavailable' || error.code === 'timeout')

/** One line: `message; hint [code]`. The same line serves the terminal and an SSH refusal's description. */
export const problemLine = (error: SallyportError): string =>
  `${error.message}${error.hint ? `; ${error.hint}` : ''} [${error.code}]`

/** The reverse of problemLine, for descriptions that came over the wire; unknown text becomes `fallback`. */
export function parseProblemLine(line: string, fallback: ErrorCode): SallyportError {
  const match = /^([\s\S]*?) \[([a-z_]+)\]\s*$/.exec(line)
  const code = match?.[2]
  if (!match || code === undefined || !isErrorCode(code)) return problem(fallback, line.trim() || fallback)
  return problem(code, match[1] ?? '')
}
