import {isUtf8} from 'node:buffer'
import type {PathName} from './types.js'

/** PATH_MAX of Linux; a host takes no longer one. */
const maxBytes = 4096

/** Bytes of a path as text; with the bytes themselves where the text does not say which they were. */
export function pathName(bytes: Uint8Array): PathName {
  const kept = Buffer.from(bytes.subarray(0, maxBytes))
  const text = kept.toString('utf8') + (bytes.length > maxBytes ? '…' : '')
  return isUtf8(kept) ? {text} : {text, bytes: kept.toString('base64')}
}

/** Words of a host or client for people: one line, bounded. */
export const words = (bytes: Uint8Array): string =>
  Buffer.from(bytes.subarray(0, 512))
    .toString('utf8')
    .replace(/\p{Cc}+/gu, ' ')
    .trim()
