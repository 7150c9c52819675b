import type {KeyObject} from 'node:crypto'
import type {AuditEvent} from './event.js'
import {LATE_MS} from './record.js'
import {HEAD_MS, HEAD_RECORDS, isLineSigned} from './signed-head.js'

/** What the signed heads of a log say of it. */
export interface SignedHeads {
  heads: number
  /** The last one stands behind the records up to this, itself; 0 where there is none. */
  through: number
  /** When that was, ISO 8601. */
  time?: string
  signature: 'verified' | 'unchecked'
  /** Stretches without a head where one was due, MOST_GAPS at most. Empty where there is no head at all. */
  gaps: HeadGap[]
}

/** Records `from` to `to`, which came at `since` and `until` (ISO 8601). */
export interface HeadGap {
  from: number
  to: number
  since: string
  until: string
}

const MOST_GAPS = 16

export interface HeadCheck {
  /** The next record in order, and its line. Gives what is wrong with it. */
  follow(record: AuditEvent, line: Buffer): string | undefined
  /** The last record that a signature was found to stand behind; 0 where none was. */
  readonly vouched: number
  /** After the last record. */
  result(): SignedHeads
}

/** Follows the signed heads of a log; without keys it counts them. Pure but for the state that it keeps. */
export function createHeadCheck(keys: readonly KeyObject[] | undefined): HeadCheck {
  const gaps: HeadGap[] = []
  let heads = 0
  let last: AuditEvent | undefined
  let stretch: HeadGap | undefined

  const endStretch = (): void => {
    if (stretch && isTooLong(stretch) && gaps.length < MOST_GAPS) gaps.push(stretch)
    stretch = undefined
  }

  return {
    follow(record, line) {
      const {seq, event} = record
      if (event === 'audit.signed') {
        if (keys && !isLineSigned(line, keys)) return unsigned(last?.seq ?? 0, seq)
        endStretch()
        heads += 1
        last = record
        return undefined
      }
      // What a start notes comes before its head, however long the service was away.
      if (event === 'audit.altered' || event === 'audit.recovered') return undefined
      const came = typeof record.received === 'string' ? record.received : record.time
      stretch = {...(stretch ?? {from: seq, since: came}), to: seq, until: came}
      return undefined
    },
    get vouched() {
      return keys && last ? last.seq : 0
    },
    result() {
      endStretch()
      return {
        ...{heads, through: last?.seq ?? 0, signature: keys ? 'verified' : 'unchecked'},
        ...(last && {time: last.time}),
        gaps: heads === 0 ? [] : gaps,
      }
    },
  }
}

/** An event may have been on its way for LATE_MS without saying when it came. */
const isTooLong = ({from, to, since, until}: HeadGap): boolean =>
  to - from >= HEAD_RECORDS || Date.parse(until) - Date.parse(since) > HEAD_MS + LATE_MS

const unsigned = (last: number, seq: number): string => {
  const between = last + 1 < seq ? `it or one of records ${last + 1} to ${seq - 1}` : 'it'
  return `it is not signed by the recording key of this cluster: ${between} was changed, added or removed, and the rest hashed again`
}
