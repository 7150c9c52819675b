import {readFile} from 'node:fs/promises'
import {join} from 'node:path'
import {type AuditVerdict, type ChainHead, verifyAuditLog} from '../audit/index.js'
import {findDataDir} from '../config/index.js'
import {systemErrorWords} from '../durable/index.js'
import {problem} from '../errors/index.js'

export interface AuditVerification {
  config?: string | undefined
  dataDir?: string | undefined
  /** A copy of the log elsewhere, in place of the one of a data directory. */
  directory?: string | undefined
  /** File with the end of the chain as it was once: `{"sequence", "hash"}`, alone or as `head` of an answer. */
  checkpoint?: string | undefined
}

/** Verifies the files of an audit log; no service need be running. Throws `not_found`, `invalid_input`. */
export async function verifyAuditFiles(options: AuditVerification): Promise<AuditVerdict> {
  const directory = options.directory ?? join(await findDataDir(options), 'audit')
  const checkpoint = options.checkpoint === undefined ? undefined : await readCheckpoint(options.checkpoint)
  try {
    return await verifyAuditLog(directory, checkpoint)
  } catch (cause) {
    throw problem('not_found', `the audit log in ${directory} cannot be read: ${systemErrorWords(cause)}`, {
      hint: 'name it with --data-dir, --config or --directory',
      cause,
    })
  }
}

async function readCheckpoint(path: string): Promise<ChainHead> {
  const wrong = (cause?: unknown) =>
    problem('invalid_input', `the checkpoint ${path} is not one`, {
      hint: 'a checkpoint is the output of `sallyport audit verify --format json`, kept elsewhere',
      cause,
    })
  let value: unknown
  try {
    value = JSON.parse(await readFile(path, 'utf8'))
  } catch (cause) {
    throw wrong(cause)
  }
  const head = isObject(value) && isObject(value.head) ? value.head : value
  if (!isObject(head)) throw wrong()
  const {sequence, hash} = head
  if (typeof sequence !== 'number' || !Number.isSafeInteger(sequence) || typeof hash !== 'string')
    throw wrong()
  return {sequence, hash}
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null
