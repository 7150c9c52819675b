import {rm} from 'node:fs/promises'
import {syncDirectory} from '../durable/index.js'
import {problem} from '../errors/index.js'
import {DAY_MS} from '../names/index.js'
import {readAnchor, writeAnchor} from './anchor.js'
import type {AuditSink} from './event.js'
import {type LogFile, listLogFiles, readLines, recordHash} from './files.js'
import {type ChainHead, follows, genesis} from './head.js'
import {parseRecord} from './record.js'

export interface PruneOptions {
  /** Unix ms: files go whose last record came before this, whole files alone. */
  before: number
  /** Signs where the chain goes on from: `signAuditStatement` of the authorities. Base64. */
  sign: (message: Buffer) => string
}

export interface PruneParts extends PruneOptions {
  directory: string
  clusterName: string
  /** Unix ms. */
  now: () => number
  emit: AuditSink['emit']
}

/**
 * Takes the oldest files of a log away: the event first, then a signed anchor that the rest of the chain goes on from, then
 * the files. What a crash left of an earlier time goes first. Gives how many files went.
 * @throws audit_corrupt where the chain of what would go does not hold, up to what stays
 */
export async function pruneLog(parts: PruneParts): Promise<number> {
  const {directory, clusterName, now, emit, before, sign} = parts
  const left = await finishPruning(directory)
  const files = await listLogFiles(directory)
  // The last file is written to, and the one before it may have to tell where the chain goes on.
  const next = files.findIndex((file, at) => at === files.length - 1 || !isBefore(file, before))
  const gone = files.slice(0, Math.max(0, next))
  const [last, stays] = [gone.at(-1), files[next]]
  if (!last || !stays) return left
  const head = await followChain(gone, await readAnchor(directory))
  const link = await firstLink(stays)
  if (!head || !link || !follows(link, head))
    throw problem('audit_corrupt', 'the audit log is not pruned: the chain of what would go does not hold', {
      hint: 'see where with `sallyport audit verify`',
    })
  await emit({
    event: 'audit.pruned',
    fields: {through: head.sequence, sha256: head.hash, from_day: gone[0]?.day, to_day: last.day},
  })
  const time = new Date(now()).toISOString()
  await writeAnchor(directory, {cluster: clusterName, ...head, time}, sign)
  return left + (await finishPruning(directory))
}

/** A file has the records that came on its day; one that is about to begin has others. */
const isBefore = ({day}: LogFile, before: number): boolean =>
  Date.parse(`${day}T00:00:00Z`) + DAY_MS <= before

/** Takes away the files that the anchor stands for. */
async function finishPruning(directory: string): Promise<number> {
  const anchor = await readAnchor(directory)
  if (!anchor) return 0
  const gone = prunedFiles(await listLogFiles(directory), anchor)
  for (const {path} of gone) await rm(path, {force: true})
  if (gone.length > 0) await syncDirectory(directory)
  return gone.length
}

/** Files all of whose records are among those that an anchor stands for. */
export const prunedFiles = (files: readonly LogFile[], anchor: ChainHead): LogFile[] =>
  files.filter((_, at) => {
    const next = files[at + 1]
    return next !== undefined && next.firstSequence <= anchor.sequence + 1
  })

/** Where the chain is at the end of these files; undefined where it breaks. What is wrong in it stays to be looked at. */
async function followChain(
  files: readonly LogFile[],
  anchor: ChainHead | undefined,
): Promise<ChainHead | undefined> {
  let head: ChainHead = anchor ?? genesis
  for (const {path} of files)
    for await (const {bytes, whole} of readLines(path)) {
      const record = whole ? parseRecord(bytes) : undefined
      if (!record || !follows(record, head)) return undefined
      head = {sequence: record.seq, hash: recordHash(bytes)}
    }
  return head
}

async function firstLink(file: LogFile): Promise<{seq: number; prev: string} | undefined> {
  for await (const {bytes, whole} of readLines(file.path)) {
    const record = whole ? parseRecord(bytes) : undefined
    return record && {seq: record.seq, prev: record.prev}
  }
  return undefined
}
