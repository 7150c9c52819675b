import {type KeyObject, verify} from 'node:crypto'
import {z} from 'zod'
import type {ChainHead} from './head.js'

// A checkpoint is the end of the log at one time, signed: kept elsewhere, it shows what is missing later. docs/audit-log.md

const FORMAT = 'sallyport-audit-checkpoint'

export interface AuditCheckpoint extends ChainHead {
  format: typeof FORMAT
  version: 1
  cluster: string
  /** ISO 8601, UTC. */
  time: string
  /** Base64, by the recording authority of the cluster, over `checkpointMessage`. */
  signature: string
}

const head = {sequence: z.number().int().nonnegative(), hash: z.string().regex(/^[0-9a-f]{64}$/)}
const signed = z.object({
  format: z.literal(FORMAT),
  version: z.literal(1),
  cluster: z.string().max(256),
  ...head,
  time: z.iso.datetime(),
  signature: z.string().max(4096),
})
/** Also the end of the log as `audit verify --format json` prints it, which nobody signed. */
const plain = z.union([z.object(head), z.object({head: z.object(head)})])

type Unsigned = Pick<AuditCheckpoint, 'cluster' | 'sequence' | 'hash' | 'time'>

/** What is signed: `sallyport-audit-checkpoint-v1 LF cluster LF sequence LF hash LF time LF`. */
const checkpointMessage = ({cluster, sequence, hash, time}: Unsigned): Buffer =>
  Buffer.from(`${FORMAT}-v1\n${cluster}\n${sequence}\n${hash}\n${time}\n`)

/** A checkpoint of what `facts` name, signed by `sign`. */
export const makeCheckpoint = (facts: Unsigned, sign: (message: Buffer) => string): AuditCheckpoint => ({
  ...{format: FORMAT, version: 1, ...facts},
  signature: sign(checkpointMessage(facts)),
})

/** The text of a checkpoint: signed, or the bare end of a chain. Undefined for what is none. */
export function parseCheckpoint(text: string): AuditCheckpoint | ChainHead | undefined {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    // Not JSON is not a checkpoint: the answer.
    return undefined
  }
  const whole = signed.safeParse(value)
  if (whole.success) return whole.data
  // What says that it is signed, and is not as it should be, is not taken for less.
  if (typeof value === 'object' && value !== null && 'format' in value) return undefined
  const bare = plain.safeParse(value).data
  return bare && ('head' in bare ? bare.head : bare)
}

/** Whether one of the keys signed the checkpoint. */
export function verifyCheckpoint(checkpoint: AuditCheckpoint, keys: readonly KeyObject[]): boolean {
  const signature = Buffer.from(checkpoint.signature, 'base64')
  return keys.some(key => verify(null, checkpointMessage(checkpoint), key, signature))
}
