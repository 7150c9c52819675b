import {createHash, type KeyObject} from 'node:crypto'
import {z} from 'zod'
import {problem} from '../../errors/index.js'
import {type RecordingSeal, sealSchema} from '../format/index-file.js'
import {metaSchema} from '../meta.js'
import {verifyRecordingHead} from './signature.js'

// What stays of a recording that was removed in order: who, when, why, and what it was the recording of. Two lines of
// JSON, the statement and the signature over it. docs/recording-format.md

/** `request`: somebody with the right to do so. `retention`: it was older than the cluster keeps recordings. */
export type RemovalCause = 'request' | 'retention'

export interface Tombstone {
  sid: string
  /** Unix ms. */
  removedAt: number
  /** The user, or `admin` for whoever did it on the auth host; `retention`. */
  removedBy: string
  cause: RemovalCause
  reason?: string
  /** Bytes of the data file. */
  bytes: number
  /** Whose session it was, and where; absent where the recording was too damaged to tell. */
  recording?: z.infer<typeof facts>
  /** The end of the recording with its signature; absent of one that was damaged before it had an end. */
  end?: RecordingSeal
}

const FORMAT = 'sallyport-recording-tombstone'
/** Longest reason that is kept, for a removal and for a hold. */
export const WHY_CHARACTERS = 256
/** No tombstone of ours is longer. */
export const TOMBSTONE_BYTES = 64 * 1024

const facts = metaSchema.pick({
  cluster: true,
  user: true,
  login: true,
  host: true,
  address: true,
  startedAt: true,
  interactive: true,
})
const time = z.number().int().nonnegative().max(8.64e15)
const schema = z.object({
  sid: metaSchema.shape.sid,
  removedAt: time,
  removedBy: z.string().min(1).max(WHY_CHARACTERS),
  cause: z.enum(['request', 'retention']),
  reason: z.string().max(WHY_CHARACTERS).exactOptional(),
  bytes: z.number().int().nonnegative(),
  recording: facts.exactOptional(),
  end: sealSchema.exactOptional(),
})
const statementLine = schema.extend({format: z.literal(FORMAT), version: z.literal(1)})
const signatureLine = z.object({signature: z.string().max(4096)})

/** The statement, without a line break: what is signed. */
export const formatStatement = (tombstone: Tombstone): string =>
  JSON.stringify({format: FORMAT, version: 1, ...schema.parse(tombstone)})

/**
 * What the signature vouches for: hex sha256 of the bytes of the statement. It is signed as the digest of a seal is, by
 * `signHead`; a seal's begins with a session ID and this with a brace, so neither can stand for the other.
 */
export const statementDigest = (statement: string): string =>
  createHash('sha256').update(statement).digest('hex')

export const formatTombstone = (statement: string, signature: string): string =>
  `${statement}\n${JSON.stringify({signature})}\n`

/** A tombstone as it is kept; throws `recording_corrupt`. The signature is not looked at. */
export function parseTombstone(text: string): Tombstone {
  const {format: _format, version: _version, ...tombstone} = readLines(text).statement
  return tombstone
}

/** The reason why `text` is not a tombstone of this session that a key of the cluster signed; undefined when it is. */
export function tombstoneFault(text: string, keys: KeyObject[], sid: string): string | undefined {
  let lines: ReturnType<typeof readLines>
  try {
    lines = readLines(text)
  } catch {
    // Damage of any kind is the answer.
    return 'its tombstone cannot be read'
  }
  if (lines.statement.sid !== sid) return `its tombstone is that of session ${lines.statement.sid}`
  return verifyRecordingHead(keys, sid, statementDigest(lines.bytes), lines.signature)
    ? undefined
    : 'its tombstone is not signed by the recording key of this cluster'
}

function readLines(text: string) {
  const [bytes = '', signed = '', ...rest] = text.split('\n')
  try {
    const statement = statementLine.parse(JSON.parse(bytes))
    const {signature} = signatureLine.parse(JSON.parse(signed))
    if (rest.length !== 1 || rest[0] !== '') throw new Error('there is more than the two lines')
    return {bytes, statement, signature}
  } catch (cause) {
    throw problem('recording_corrupt', 'the tombstone of the recording cannot be read', {cause})
  }
}
