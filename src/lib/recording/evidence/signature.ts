import {createHash, type KeyObject, sign, verify} from 'node:crypto'
import type {RecordingEnd} from '../types.js'

const CONTEXT = 'sallyport-recording-v1'

/** Ed25519 hashes by itself; the other key types are told to use SHA-256. */
const hashFor = (key: KeyObject): string | null => (key.asymmetricKeyType === 'ed25519' ? null : 'sha256')

const signedMessage = (sid: string, head: string): Buffer => Buffer.from(`${CONTEXT}\n${sid}\n${head}\n`)

/**
 * What a seal vouches for, in one digest: the number of chunks, the head of their chain, the times, and whether the
 * session went on after them.
 * This is the `head` that `signHead` of the store is given. Hex sha256.
 */
export const sealDigest = (sid: string, end: RecordingEnd): string =>
  createHash('sha256')
    .update(`${sid}\n${end.chunks}\n${end.head}\n${end.endedAt}\n${end.durationMs}\n`)
    .update(end.truncated === undefined ? '' : `truncated ${end.truncated}\n`)
    .digest('hex')

/**
 * Signs the seal of a recording with the cluster's recording key: base64 of the raw signature over
 * `sallyport-recording-v1 LF sid LF head LF`. The context keeps the signature from meaning anything elsewhere.
 */
export const signRecordingHead = (key: KeyObject, sid: string, head: string): string =>
  sign(hashFor(key), signedMessage(sid, head), key).toString('base64')

/** True when one of the public keys made `signature` (base64, from signRecordingHead) for this sid and head. */
export function verifyRecordingHead(
  keys: KeyObject[],
  sid: string,
  head: string,
  signature: string,
): boolean {
  const message = signedMessage(sid, head)
  const bytes = Buffer.from(signature, 'base64')
  return keys.some(key => verify(hashFor(key), message, key, bytes))
}
