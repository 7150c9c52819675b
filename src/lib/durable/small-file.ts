import type {Stats} from 'node:fs'
import {open} from 'node:fs/promises'
import {problem} from '../errors/index.js'

export interface SmallFileOptions {
  /** 1 MiB without it. */
  maxBytes?: number
  /** Looks at the open file before anything is read of it; what it throws is thrown on. */
  check?: (facts: Stats) => void
}

const MEBIBYTE = 1024 * 1024

/**
 * All of a file that is small, also of a pipe or a device; of one that is not, no more than that is ever read.
 * @throws limit_exceeded; the operating system's error where it cannot be read
 */
export async function readSmallBytes(
  path: string,
  {maxBytes = MEBIBYTE, check}: SmallFileOptions = {},
): Promise<Buffer> {
  const handle = await open(path, 'r')
  try {
    check?.(await handle.stat())
    const parts: Buffer[] = []
    let size = 0
    for await (const part of handle.createReadStream({end: maxBytes, autoClose: false})) {
      parts.push(part)
      size += part.length
    }
    if (size > maxBytes) throw problem('limit_exceeded', `${path} is larger than ${maxBytes} bytes`)
    return Buffer.concat(parts)
  } finally {
    await handle.close()
  }
}

/** The same as text, UTF-8. */
export const readSmallFile = async (path: string, options?: SmallFileOptions): Promise<string> =>
  (await readSmallBytes(path, options)).toString('utf8')
