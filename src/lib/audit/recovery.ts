import {join} from 'node:path'
import {writeFileAtomic} from '../durable/index.js'
import type {AuditInput} from './event.js'
import {listLogFiles, recordHash} from './files.js'
import type {ChainHead} from './head.js'
import {queryFiles} from './query.js'
import {cutTail, type LogTail, readTail} from './tail.js'

/**
 * The end of the log as it was found, without what a crash left behind it: that is kept aside first, in a file of its own.
 * @param last the head that was signed last, as far as that is known from elsewhere
 * @returns what is to go on record of it
 * @throws audit_corrupt
 */
export async function recoverTail(
  directory: string,
  last: ChainHead | undefined,
): Promise<{tail: LogTail; notes: AuditInput[]}> {
  const tail = await readTail(await listLogFiles(directory), last?.sequence ?? 0)
  const recovered = tail.torn ? [await keepTorn(directory, tail.head, tail.torn)] : []
  await cutTail(tail)
  const altered = tail.altered ?? (last && !(await holds(directory, tail, last)) ? last.sequence : undefined)
  return {
    tail,
    notes: altered === undefined || isKnown(tail, altered) ? recovered : [...recovered, alteredAt(altered)],
  }
}

async function keepTorn(directory: string, {sequence}: ChainHead, torn: Buffer): Promise<AuditInput> {
  const sha256 = recordHash(torn)
  // By its content, too: after another crash something else may follow the same record.
  const kept = `torn-after-${sequence}-${sha256.slice(0, 8)}.bin`
  await writeFileAtomic(join(directory, kept), torn)
  return {event: 'audit.recovered', fields: {bytes: torn.length, sha256, kept}}
}

/** Whether the log has the record that a head names: the one after it names its hash. */
async function holds(directory: string, {head}: LogTail, {sequence, hash}: ChainHead): Promise<boolean> {
  if (head.sequence === sequence) return head.hash === hash
  const next = {after: sequence, order: 'oldest', limit: 1} as const
  const [after] = await queryFiles(await listLogFiles(directory), next)
  return after?.seq === sequence + 1 && after.prev === hash
}

/** Said at an earlier start. */
const isKnown = ({records}: LogTail, altered: number): boolean =>
  records.some(({event, record}) => event === 'audit.altered' && record === altered)

const alteredAt = (record: number): AuditInput => ({
  event: 'audit.altered',
  error: `record ${record} is not there any more as it was: the log was changed while no service had it open`,
  fields: {record},
})
