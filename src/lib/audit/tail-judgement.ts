import {type ChainHead, follows} from './head.js'
import {BATCH_RECORDS} from './limits.js'

/** A line near the end of the log. */
export interface TailLine {
  /** Where it begins in the file. */
  offset: number
  /** What the chain needs of it; absent where it is no record. */
  record?: {seq: number; prev: string; hash: string}
  /** Its line break is there. */
  isWhole: boolean
  /** It has zeros in it, which no record has: pages that never came to the disk. */
  hasZeros: boolean
}

export interface TailFacts {
  /** The record before the first line, where that is known. */
  before: ChainHead | undefined
  /** Sequence up to which records are known to have been durable once. */
  durable: number
}

export interface TailJudgement {
  /** The last record, to go on from; undefined where there is none. */
  head: ChainHead | undefined
  /** Where what is to be cut off begins. */
  cut: number | undefined
  /** First record from which on the chain does not hold, though no crash did it. */
  altered: number | undefined
}

/**
 * Where a log goes on after its last lines. One write is under way at a time, and the next begins when the disk has the
 * one before; so a crash spoils the last write alone, page by page and in any order, and that is cut off from the first
 * gap in the chain on, however whole later pages are: no record behind the gap was acknowledged. What a crash cannot have
 * done stays for `verify` to name: a gap among records that were durable, one with more behind it than a write has, a line
 * that was changed with no page missing. Only part of a line at the very end goes in any case: nothing could follow it. Pure.
 */
export function judgeTail(lines: readonly TailLine[], {before, durable}: TailFacts): TailJudgement {
  const judgement: TailJudgement = {head: before, cut: undefined, altered: undefined}
  for (const [at, {offset, record, isWhole, hasZeros}] of lines.entries()) {
    const {head} = judgement
    if (head && !(record && follows(record, head))) {
      const byCrash =
        (hasZeros || !isWhole) && head.sequence >= durable && isOneWrite(head, lines.slice(at + 1))
      if (!byCrash) judgement.altered ??= head.sequence + 1
      if (byCrash || !isWhole) return {...judgement, cut: offset}
    }
    if (record) judgement.head = {sequence: record.seq, hash: record.hash}
  }
  return judgement
}

const isOneWrite = (head: ChainHead, behind: readonly TailLine[]): boolean =>
  behind.every(({record}) => record === undefined || record.seq <= head.sequence + BATCH_RECORDS)
