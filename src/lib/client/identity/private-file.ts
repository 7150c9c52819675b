import {open} from 'node:fs/promises'
import {problem} from '../../errors/index.js'

const maxBytes = 1024 * 1024

export interface ReadOptions {
  /** Refuse a file that others than its owner may read: it holds a private key. */
  secret?: boolean
}

/**
 * Reads a small text file of ours; undefined where there is none.
 * @throws invalid_input when it is too large, not a file, or a secret that others can read
 */
export async function readSmallFile(
  path: string,
  {secret = false}: ReadOptions = {},
): Promise<string | undefined> {
  const handle = await open(path, 'r').catch((cause: NodeJS.ErrnoException) => {
    if (cause.code === 'ENOENT') return undefined
    throw problem('invalid_input', `cannot read ${path}: ${cause.message}`, {cause})
  })
  if (!handle) return undefined
  try {
    const facts = await handle.stat()
    if (!facts.isFile()) throw problem('invalid_input', `${path} is not a file`)
    if (facts.size > maxBytes) throw problem('invalid_input', `${path} is larger than ${maxBytes} bytes`)
    if (secret && process.platform !== 'win32' && (facts.mode & 0o077) !== 0)
      throw problem('invalid_input', `${path} holds a private key that others than its owner can read`, {
        hint: `chmod 600 ${path}, and consider the key known to them`,
      })
    return await handle.readFile('utf8')
  } finally {
    await handle.close()
  }
}
