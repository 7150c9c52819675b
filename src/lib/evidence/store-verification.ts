import type {KeyObject} from 'node:crypto'
import {join} from 'node:path'
import {scanLog} from '../audit/index.js'
import {findDataDir} from '../config/index.js'
import {systemErrorWords} from '../durable/index.js'
import {asProblem, problem, SallyportError} from '../errors/index.js'
import {checkStore} from '../recording/index.js'
import {type AuditFilesVerdict, verifyAuditFiles} from './audit-verification.js'
import {readRecordedSessions, SESSION_EVENTS} from './recorded-sessions.js'
import {
  type JudgedSession,
  type JudgeOptions,
  judgeSession,
  judgeStore,
  type StoreVerdict,
} from './store-judgement.js'

export interface StoreVerification {
  config?: string | undefined
  dataDir?: string | undefined
  /** A copy of a data directory, with `audit` and `recordings` in it. */
  directory?: string | undefined
  /** File with a checkpoint of the audit log. */
  checkpoint?: string | undefined
  /** Whether the keys are to sign the checkpoint, too: where they come from elsewhere. */
  checkSignature: boolean
  keys: KeyObject[]
  /** Unix ms. */
  now: number
}

export interface StoreFilesVerdict extends StoreVerdict {
  /** The log that the recordings were held against. */
  audit: AuditFilesVerdict
}

/** When the first record that is there came, Unix ms. */
async function beginningOf(log: string): Promise<number> {
  for await (const {time, received} of scanLog(log, '"seq":'))
    return Date.parse(typeof received === 'string' ? received : time)
  return 0
}

/** So long the words of a session may take from the store to the log. */
const GRACE_MS = 60_000

/**
 * Verifies every recording of a store and holds it against the audit log, which is verified first. Reads files alone: no
 * service need be running, and one that runs is not disturbed. Throws `not_found`, `invalid_input`.
 */
export const verifyStoreFiles = (options: StoreVerification): Promise<StoreFilesVerdict> =>
  withLog(options, async ({recordings, audit, said}) => ({
    audit,
    ...(await judgeStore(checkStore(recordings, options.keys), said)),
  }))

export type SessionFilesVerdict = JudgedSession & {
  /** The log that the recording was held against. */
  audit: AuditFilesVerdict
}

/** The same of one session. Throws as verifyStoreFiles, and `not_found` for a session that nobody knows of. */
export const verifySessionFiles = (sid: string, options: StoreVerification): Promise<SessionFilesVerdict> =>
  withLog(options, async ({recordings, audit, said}) => ({
    ...(await judgeSession(checkStore(recordings, options.keys, sid), sid, said)),
    audit,
  }))

interface Held {
  /** Directory of the store. */
  recordings: string
  audit: AuditFilesVerdict
  said: JudgeOptions
}

async function withLog<T>(options: StoreVerification, judge: (held: Held) => Promise<T>): Promise<T> {
  const {keys, now, checkpoint, checkSignature} = options
  const root = options.directory ?? (await findDataDir(options))
  const log = join(root, 'audit')
  const audit = await verifyAuditFiles({
    ...{directory: log, checkpoint, headKeys: keys},
    ...(checkSignature && {keys}),
  })
  try {
    // The log first: whatever it knows of is in the store by then.
    const records = await readRecordedSessions(scanLog(log, SESSION_EVENTS))
    const prunedBefore = audit.ok && audit.pruned ? await beginningOf(log) : 0
    const said = {records, since: now - GRACE_MS, prunedBefore}
    return await judge({recordings: join(root, 'recordings'), audit, said})
  } catch (cause) {
    if (cause instanceof SallyportError) throw asProblem(cause)
    throw problem('not_found', `the recordings in ${root} cannot be read: ${systemErrorWords(cause)}`, {
      hint: 'name the data directory with --data-dir, --config or --directory',
      cause,
    })
  }
}
