import {getSystemErrorMap} from 'node:util'

/** The operating system's words for an error, "no space left on device": no path, fit for a remote caller. */
export function systemErrorWords(error: unknown): string {
  const errno = error instanceof Error && 'errno' in error ? error.errno : undefined
  return (typeof errno === 'number' ? getSystemErrorMap().get(errno)?.[1] : undefined) ?? 'unexpected error'
}
