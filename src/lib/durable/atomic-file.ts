import {randomBytes} from 'node:crypto'
import {chmod, link, mkdir, open, rename, rm} from 'node:fs/promises'
import {dirname} from 'node:path'

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

/** Creates `path` (and its parents) as 0700, and tightens it if it exists with wider rights. */
export async function ensurePrivateDirectory(path: string): Promise<void> {
  await mkdir(path, {recursive: true, mode: 0o700})
  await chmod(path, 0o700)
}
