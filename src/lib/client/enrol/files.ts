import {mkdir, rm, stat} from 'node:fs/promises'
import {dirname} from 'node:path'
import {
  isForbidden,
  isMissing,
  readSmallFile,
  systemErrorWords,
  writeFileAtomic,
} from '../../durable/index.js'
import {problem} from '../../errors/index.js'

export interface PlainFile {
  path: string
  data: string
  mode: number
}

/** The file's text, or undefined where there is none. @throws access_denied */
export async function readIfThere(path: string): Promise<string | undefined> {
  try {
    return await readSmallFile(path)
  } catch (cause) {
    if (isMissing(cause)) return undefined
    throw unreadable(path, cause)
  }
}

/**
 * Writes files, and gives back what puts everything as it was.
 * @throws access_denied, store_failed; what was written before is put back
 */
export async function replaceFiles(files: readonly PlainFile[]): Promise<() => Promise<void>> {
  const before = await Promise.all(
    files.map(async ({path}) => ({
      path,
      data: await readIfThere(path),
      mode: await stat(path).then(
        ({mode}) => mode & 0o777,
        () => 0o600,
      ),
    })),
  )
  const restore = async (): Promise<void> => {
    for (const {path, data, mode} of before)
      await (data === undefined ? rm(path, {force: true}) : writeFileAtomic(path, data, {mode}))
  }
  try {
    for (const {path, data, mode} of files) {
      await mkdir(dirname(path), {recursive: true})
      await writeFileAtomic(path, data, {mode})
    }
  } catch (cause) {
    await restore()
    throw unwritable(cause)
  }
  return restore
}

const unreadable = (path: string, cause: unknown) =>
  problem('access_denied', `${path} cannot be read by this user`, {hint: 'run this as root', cause})

const pathOf = (error: unknown): string =>
  error instanceof Error && 'path' in error && typeof error.path === 'string' ? error.path : 'a file'

function unwritable(cause: unknown) {
  if (isForbidden(cause))
    return problem('access_denied', `${pathOf(cause)} cannot be written by this user`, {
      hint: 'run this as root',
      cause,
    })
  return problem('store_failed', `the files for sshd cannot be written: ${systemErrorWords(cause)}`, {cause})
}
