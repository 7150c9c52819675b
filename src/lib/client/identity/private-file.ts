import type {Stats} from 'node:fs'
import {isMissing, readSmallFile, systemErrorWords} from '../../durable/index.js'
import {problem, SallyportError} from '../../errors/index.js'

export interface ReadOptions {
  /** Refuse a file that others than its owner may read: it holds a private key. */
  secret?: boolean
}

/**
 * Reads a small text file of this user's; undefined where there is none.
 * @throws invalid_input when it cannot be read, is too large, not a file, or a secret that others can read
 */
export async function readOwnFile(
  path: string,
  {secret = false}: ReadOptions = {},
): Promise<string | undefined> {
  try {
    return await readSmallFile(path, {check: facts => judge(path, facts, secret)})
  } catch (cause) {
    if (isMissing(cause)) return undefined
    if (cause instanceof SallyportError && cause.code === 'invalid_input') throw cause
    const why = cause instanceof SallyportError ? cause.message : systemErrorWords(cause)
    throw problem('invalid_input', `cannot read ${path}: ${why}`, {cause})
  }
}

function judge(path: string, facts: Stats, secret: boolean): void {
  if (!facts.isFile()) throw problem('invalid_input', `${path} is not a file`)
  if (secret && process.platform !== 'win32' && (facts.mode & 0o077) !== 0)
    throw problem('invalid_input', `${path} holds a private key that others than its owner can read`, {
      hint: `chmod 600 ${path}, and consider the key known to them`,
    })
}
