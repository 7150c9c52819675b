import {randomBytes} from 'node:crypto'
import {chmod, link, mkdir, open, readdir, rename, rm, stat} from 'node:fs/promises'
import {dirname} from 'node:path'
import {problem} from '../errors/index.js'

/** Makes entries of `directory` durable after a create, rename or unlink in it. */
export async function syncDirectory(directory: string): Promise<void> {
  const handle = await open(directory, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}

/**
 * Replaces `path` with `data` so that a crash leaves the old content or the new, never a mixture.
 * With `exclusive` an existing file is an EEXIST error: two writers cannot both win.
 */
export async function writeFileAtomic(
  path: string,
  data: string | Uint8Array,
  {mode = 0o600, exclusive = false}: {mode?: number; exclusive?: boolean} = {},
): Promise<void> {
  const temporary = `${path}.${randomBytes(6).toString('hex')}.tmp`
  try {
    await writeSynced(temporary, data, mode)
    // link(2) refuses an existing name, rename(2) replaces it: both are atomic.
    await (exclusive ? link(temporary, path) : rename(temporary, path))
  } finally {
    await rm(temporary, {force: true})
  }
  await syncDirectory(dirname(path))
}

async function writeSynced(path: string, data: string | Uint8Array, mode: number): Promise<void> {
  const handle = await open(path, 'wx', mode)
  try {
    await handle.writeFile(data)
    await handle.chmod(mode)
    await handle.sync()
  } finally {
    await handle.close()
  }
}

/**
 * Creates `path` (and its parents) as 0700. One that is there and empty is tightened; one that holds something and that
 * others may use is not ours to shut: it could be the root of the file system, or /tmp.
 * @throws store_failed
 */
export async function ensurePrivateDirectory(path: string): Promise<void> {
  const created = await mkdir(path, {recursive: true, mode: 0o700})
  if (((await stat(path)).mode & 0o777) === 0o700) return
  if (created === undefined && (await readdir(path)).length > 0)
    throw problem('store_failed', `${path} is open to other accounts and holds something already`, {
      hint: 'name another directory, or shut this one with chmod 700 if it is for nothing else',
    })
  await chmod(path, 0o700)
}
