import {problem} from '../../errors/index.js'
import {durationSeconds} from '../values.js'

/** The flags by which commands narrow what happened to a time. */
export interface TimeRangeFlags {
  from?: string | undefined
  to?: string | undefined
  last?: string | undefined
}

export interface TimeRange {
  from?: Date
  to?: Date
}

/** `--from`, `--to` and `--last` as times; `now` in Unix ms. Throws `usage` for what is none, or is never. */
export function timeRange(flags: TimeRangeFlags, now: number): TimeRange {
  const from = flags.last
    ? new Date(now - durationSeconds(flags.last, '--last') * 1000)
    : time(flags.from, '--from')
  const to = time(flags.to, '--to')
  if (from && to && from >= to)
    throw problem('usage', 'the time asked for ends before it begins', {
      hint: '--from is the first moment, --to the first one no longer meant',
    })
  return {...(from && {from}), ...(to && {to})}
}

function time(text: string | undefined, flag: string): Date | undefined {
  if (text === undefined) return undefined
  const date = new Date(text)
  if (Number.isNaN(date.getTime()))
    throw problem('usage', `${flag} expects a time, not ${JSON.stringify(text)}`, {
      hint: `as in ${flag}=2025-11-21 or ${flag}=2025-11-21T14:30:00Z`,
    })
  return date
}
