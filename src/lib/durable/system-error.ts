import {getSystemErrorMap} from 'node:util'

/** The operating system's words for an error, "no space left on device": no path, fit for a remote caller. */
export function systemErrorWords(error: unknown): string {
  const errno = error instanceof Error && 'errno' in error ? error.errno : undefined
  return (typeof errno === 'number' ? getSystemErrorMap().get(errno)?.[1] : undefined) ?? 'unexpected error'
}

/** The operating system's name of an error, `ENOENT` (errno(3)); undefined for an error of any other making. */
export function errnoOf(error: unknown): string | undefined {
  const code = error instanceof Error && 'code' in error ? error.code : undefined
  return typeof code === 'string' && /^E[A-Z0-9]+$/.test(code) ? code : undefined
}

const anyOf =
  (...names: string[]) =>
  (error: unknown): boolean =>
    names.includes(errnoOf(error) ?? '')

/** There is no such file, or program. */
export const isMissing = anyOf('ENOENT')

/** The disk is full, or this user's share of it. */
export const isFull = anyOf('ENOSPC', 'EDQUOT')

/** The process or the machine has no more of what any file and any program takes: no fault of the one at hand. */
export const isExhausted = anyOf('EMFILE', 'ENFILE', 'ENOMEM', 'EAGAIN')

/** This user may not. */
export const isForbidden = anyOf('EACCES', 'EPERM')

const isReadOnly = anyOf('EROFS')

/** Whether the same may succeed later with the file as it is; goes by the error and its causes. */
export function mayPassByItself(error: unknown): boolean {
  for (let at = error; at instanceof Error; at = at.cause)
    if (isFull(at) || isExhausted(at) || isForbidden(at) || isReadOnly(at)) return true
  return false
}

/** For `.catch`: `value` where there is no such file; any other error is thrown on. */
export const ifMissing =
  <T>(value: T) =>
  (error: unknown): T => {
    if (isMissing(error)) return value
    throw error
  }
