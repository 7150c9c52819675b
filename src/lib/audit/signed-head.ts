import {type KeyObject, verify} from 'node:crypto'

// The log signs its own end again and again, in itself: what a signature stands behind cannot be changed and hashed again
// without the key. docs/audit-log.md

/** One is due when so many records came after the last one, or so long after the first of them. */
export const HEAD_RECORDS = 1000
export const HEAD_MS = 60_000

const CONTEXT = 'sallyport-audit-head-v1'

const messageOf = (line: string): Buffer => Buffer.from(`${CONTEXT}\n${line}\n`)

/** The line of a record with the signature over it, base64, as its last field. Both without a line break. */
export const signLine = (line: string, sign: (message: Buffer) => string): string =>
  `${line.slice(0, -1)},"signature":"${sign(messageOf(line))}"}`

const ending = /,"signature":"([A-Za-z0-9+/=]{1,128})"\}$/

/** Whether one of the keys signed a line. */
export function isLineSigned(line: Buffer, keys: readonly KeyObject[]): boolean {
  const text = line.toString('utf8')
  const found = ending.exec(text)
  if (!found) return false
  const message = messageOf(`${text.slice(0, found.index)}}`)
  const signature = Buffer.from(found[1] ?? '', 'base64')
  return keys.some(key => verify(null, message, key, signature))
}
