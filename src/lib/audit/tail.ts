import {constants} from 'node:fs'
import {stat} from 'node:fs/promises'
import {problem} from '../errors/index.js'
import type {AuditEvent} from './event.js'
import {LINE_BYTES, type LogFile, openLogFile, readLines, readRange, recordHash} from './files.js'
import {type ChainHead, genesis} from './head.js'
import {BATCH_BYTES} from './limits.js'
import {parseRecord} from './record.js'
import {judgeTail, type TailLine} from './tail-judgement.js'

export interface LogTail {
  head: ChainHead
  /** The last records of the log, up to `head`. */
  records: readonly AuditEvent[]
  /** The file that is written to, and where its last whole record ends. */
  active?: {file: LogFile; size: number}
  /** What a crash left behind the last acknowledged record, to be kept aside before `cutTail`. */
  torn?: Buffer
  /** First record from which on the chain does not hold, though no crash did it. */
  altered?: number
}

/**
 * Finds the end of the chain, and what a crash left behind it; see `judgeTail`. Changes nothing.
 * @param durable sequence up to which records are known to have been durable once
 * @throws audit_corrupt where more is damaged than one write
 */
export async function readTail(files: readonly LogFile[], durable: number): Promise<LogTail> {
  const file = files.at(-1)
  if (!file) return {head: genesis, records: []}
  const lines = await lastLines(file)
  const isAll = lines.length === 0 || lines[0]?.offset === 0
  // A file whose beginning is looked at goes on from the one before.
  const earlier = isAll ? await endOfEarlier(files.slice(0, -1)) : undefined
  const before = earlier?.head ?? (isAll && file.firstSequence === 1 ? genesis : undefined)
  const {head, cut, altered} = judgeTail(lines, {before, durable})
  if (!head && lines.length > 0) throw noRecord(file)
  const kept = lines.filter(({offset}) => cut === undefined || offset < cut)
  const {size} = await stat(file.path)
  return {
    head: head ?? genesis,
    records: [...(earlier?.records ?? []), ...kept.flatMap(({event}) => event ?? [])],
    active: {file, size: cut ?? size},
    ...(cut !== undefined && {torn: await readRange(file.path, cut, size)}),
    ...(altered !== undefined && {altered}),
  }
}

/** Takes away what is not to be there, so that the next record follows the last one. */
export async function cutTail({active, torn}: LogTail): Promise<void> {
  if (!active || !torn) return
  const handle = await openLogFile(active.file.path, constants.O_RDWR)
  try {
    await handle.truncate(active.size)
    await handle.sync()
  } finally {
    await handle.close()
  }
}

/** Of files that another one follows: they were durable when that one was begun, but for some that stayed empty. */
async function endOfEarlier(
  files: readonly LogFile[],
): Promise<{head: ChainHead; records: AuditEvent[]} | undefined> {
  for (const file of files.toReversed()) {
    const lines = await lastLines(file)
    if (lines.length === 0) continue
    const {head} = judgeTail(lines, {before: undefined, durable: 0})
    if (!head) throw noRecord(file)
    return {head, records: lines.flatMap(({event}) => event ?? [])}
  }
  return undefined
}

const noRecord = ({name}: LogFile) =>
  problem('audit_corrupt', `the audit log is damaged: no record can be read at the end of ${name}`, {
    hint: 'see where with `sallyport audit verify`, and move that file away to start a new log',
  })

type LastLine = TailLine & {event: AuditEvent | undefined}

/** The lines that the last write can have written, and the one before them where the file has more. */
async function lastLines(file: LogFile): Promise<LastLine[]> {
  const lines: LastLine[] = []
  for await (const {bytes, offset, whole} of readLines(file.path, await beginningOfWindow(file))) {
    const event = whole ? parseRecord(bytes) : undefined
    lines.push({
      ...{offset, isWhole: whole, hasZeros: bytes.includes(0), event},
      ...(event && {record: {seq: event.seq, prev: event.prev, hash: recordHash(bytes)}}),
    })
  }
  return lines
}

/** @throws audit_corrupt where there is no line so long before it that it can be none */
async function beginningOfWindow(file: LogFile): Promise<number> {
  const window = (await stat(file.path)).size - BATCH_BYTES
  if (window <= 0) return 0
  const from = Math.max(0, window - LINE_BYTES)
  const lineBreak = (await readRange(file.path, from, window)).lastIndexOf(0x0a)
  if (lineBreak < 0 && from > 0) throw noRecord(file)
  return lineBreak < 0 ? 0 : from + lineBreak + 1
}
