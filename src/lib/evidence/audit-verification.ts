import type {KeyObject} from 'node:crypto'
import {join} from 'node:path'
import {
  type AuditCheckpoint,
  type AuditVerdict,
  type ChainHead,
  parseCheckpoint,
  verifyAuditLog,
  verifyCheckpoint,
} from '../audit/index.js'
import {findDataDir} from '../config/index.js'
import {readSmallFile, systemErrorWords} from '../durable/index.js'
import {problem} from '../errors/index.js'

export interface AuditVerification {
  config?: string | undefined
  dataDir?: string | undefined
  /** A copy of the log elsewhere, in place of the one of a data directory. */
  directory?: string | undefined
  /** File with a checkpoint: the end of the chain as it was once, signed or not. */
  checkpoint?: string | undefined
  /** Public keys of the recording authority: the checkpoint, the heads and word of what was pruned must be signed by one. */
  keys?: readonly KeyObject[] | undefined
  /** For the heads alone, where there are no others. */
  headKeys?: readonly KeyObject[] | undefined
}

/** What is known of who made the checkpoint. `absent`: it is the bare end of a chain, which nobody signed. */
export type CheckpointSignature = 'verified' | 'unchecked' | 'absent'

export type AuditFilesVerdict = AuditVerdict & {signature?: CheckpointSignature}

/** Verifies the files of an audit log; no service need be running. Throws `not_found`, `invalid_input`. */
export async function verifyAuditFiles(options: AuditVerification): Promise<AuditFilesVerdict> {
  const {keys, headKeys = keys} = options
  const directory = options.directory ?? join(await findDataDir(options), 'audit')
  const checkpoint = options.checkpoint === undefined ? undefined : await readCheckpoint(options.checkpoint)
  const signature = checkpoint && judgeSignature(checkpoint, options)
  try {
    const verdict = await verifyAuditLog(directory, checkpoint, keys, headKeys)
    return {...verdict, ...(signature && {signature})}
  } catch (cause) {
    throw problem('not_found', `the audit log in ${directory} cannot be read: ${systemErrorWords(cause)}`, {
      hint: 'name it with --data-dir, --config or --directory',
      cause,
    })
  }
}

async function readCheckpoint(path: string): Promise<AuditCheckpoint | ChainHead> {
  const wrong = (cause?: unknown) =>
    problem('invalid_input', `the checkpoint ${path} is not one`, {
      hint: 'a checkpoint is what `sallyport audit checkpoint` wrote, kept elsewhere',
      cause,
    })
  const text = await readSmallFile(path).catch(cause => {
    throw wrong(cause)
  })
  const checkpoint = parseCheckpoint(text)
  if (!checkpoint) throw wrong()
  return checkpoint
}

/** Where keys are named, nothing counts that they did not sign. */
function judgeSignature(
  checkpoint: AuditCheckpoint | ChainHead,
  {keys}: AuditVerification,
): CheckpointSignature {
  const signed = 'signature' in checkpoint
  if (!keys) return signed ? 'unchecked' : 'absent'
  if (signed && verifyCheckpoint(checkpoint, keys)) return 'verified'
  throw problem('invalid_input', 'the checkpoint is not signed by the recording key of this cluster', {
    hint: 'somebody changed it, or the key is of another cluster',
  })
}
