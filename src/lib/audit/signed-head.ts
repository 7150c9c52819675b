import {type KeyObject, verify} from 'node:crypto'

// The log signs its own end again and again, in itself: what a signature stands behind cannot be changed and hashed again
// without the key. docs/audit-log.md

/** One is due when so many records came after the last one, or so long after the first of them. */
export const HEAD_RECORDS = 1000
export const HEAD_MS = 60_000

const CONTEXT = 'sallyport-audit-head-v1'

/** The line of a record with the signature over it, base64, as its last field. Both without a line break. */
export const signLine = (line: string, sign: (message: Buffer) => string): string =>
  `${line.slice(0, -1)},"signature":"${sign(Buffer.from(`${CONTEXT}\n${line}\n`))}"}`

const FIELD = ',"signature":"'
const ending = /^([A-Za-z0-9+/=]{1,128})"\}$/

/** Whether one of the keys signed a line. */
export function isLineSigned(line: Buffer, keys: readonly KeyObject[]): boolean {
  const at = line.lastIndexOf(FIELD)
  const [, signature] = at < 0 ? [] : (ending.exec(line.toString('latin1', at + FIELD.length)) ?? [])
  if (signature === undefined) return false
  const message = Buffer.concat([Buffer.from(`${CONTEXT}\n`), line.subarray(0, at), Buffer.from('}\n')])
  return keys.some(key => verify(null, message, key, Buffer.from(signature, 'base64')))
}
