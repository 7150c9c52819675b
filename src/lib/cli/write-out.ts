import {randomBytes} from 'node:crypto'
import {createWriteStream} from 'node:fs'
import {link, rename, rm} from 'node:fs/promises'
import {Readable, type Writable} from 'node:stream'
import {pipeline} from 'node:stream/promises'
import {errnoOf, systemErrorWords} from '../durable/index.js'
import {problem} from '../errors/index.js'

export interface WriteOutOptions {
  /** Standard output without one. */
  path?: string | undefined
  overwrite?: boolean
  stream?: Writable
}

/**
 * Writes what comes, at the pace of the reader. A file gets its name when it is complete and is readable by its owner
 * alone; an existing one is `already_exists` unless `overwrite`. Other errors of the disk are `store_failed`.
 */
export async function writeOut(
  content: AsyncIterable<string | Uint8Array>,
  {path, overwrite = false, stream = process.stdout}: WriteOutOptions = {},
): Promise<void> {
  if (path === undefined) return await pipeline(Readable.from(content), stream, {end: false})
  const partial = `${path}.${randomBytes(6).toString('hex')}.partial`
  try {
    await pipeline(
      Readable.from(content),
      createWriteStream(partial, {mode: 0o600, flags: 'wx', flush: true}),
    )
    await (overwrite ? rename(partial, path) : link(partial, path))
  } catch (error) {
    throw writeFailure(path, error)
  } finally {
    await rm(partial, {force: true})
  }
}

function writeFailure(path: string, error: unknown): unknown {
  const errno = errnoOf(error)
  if (errno === undefined) return error
  if (errno === 'EEXIST')
    return problem('already_exists', `${path} exists already`, {hint: 'add --overwrite to replace it'})
  return problem('store_failed', `${path} cannot be written: ${failureWords(error)}`, {cause: error})
}

const reasons: Readonly<Record<string, string>> = {
  ENOENT: 'its directory does not exist',
  EACCES: 'this user may not write there',
  ENOSPC: 'the disk is full',
}

/** Why something could not be written. */
export const failureWords = (error: unknown): string =>
  reasons[errnoOf(error) ?? ''] ?? systemErrorWords(error)
