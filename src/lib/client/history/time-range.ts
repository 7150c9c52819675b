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
  const from = flags.last === undefined ? time(flags.from, '--from') : since(flags.last, now)
  const to = time(flags.to, '--to')
  if (from && to && from >= to)
    throw problem('usage', 'the time asked for ends before it begins', {
      hint: '--from is the first moment, --to the first one no longer meant',
    })
  return {...(from && {from}), ...(to && {to})}
}

/** Nothing happened before 1970; more of the past than that is all of it. */
const since = (last: string, now: number): Date =>
  new Date(Math.max(0, now - durationSeconds(last, '--last') * 1000))

function time(text: string | undefined, flag: string): Date | undefined {
  if (text === undefined) return undefined
  const date = isoTime(text)
  if (!date)
    throw problem('usage', `${flag} expects a time, not ${JSON.stringify(text)}`, {
      hint: `as in ${flag}=2025-11-21, ${flag}=2025-11-21T14:30 (UTC) or ${flag}=2025-11-21T14:30:00+01:00`,
    })
  return date
}

const isoPattern =
  /^(\d{4})-(\d\d)-(\d\d)(?:[T ](\d\d):(\d\d)(?::(\d\d)(?:\.(\d{1,3})\d{0,6})?)?(Z|[+-]\d\d:\d\d)?)?$/

/**
 * A date, or a date and time, of ISO 8601 (RFC 3339 §5.6, with the seconds and the zone left out if need be). Without a
 * zone it is UTC, as every time that a command shows. Undefined for anything else, a 30th of February included.
 */
function isoTime(text: string): Date | undefined {
  const match = isoPattern.exec(text)
  if (!match) return undefined
  const [, year, month, day, hour, minute, second, fraction = ''] = match
  const zone = minutesOf(match[8])
  const parts = [year, month, day, hour, minute, second].map(part => Number(part ?? 0))
  const [y = 0, mo = 0, d = 0, h = 0, mi = 0, s = 0] = parts
  const date = new Date(0)
  date.setUTCFullYear(y, mo - 1, d)
  date.setUTCHours(h, mi, s, Number(fraction.padEnd(3, '0')))
  const same = [date.getUTCFullYear(), date.getUTCMonth() + 1, date.getUTCDate(), date.getUTCHours()]
  // What does not exist rolls over to something else.
  const exists = same.every((part, i) => part === parts[i]) && mi < 60 && s < 60
  return exists && zone !== undefined ? new Date(date.getTime() - zone * 60_000) : undefined
}

/** Minutes that a zone is ahead of UTC; undefined for one that there cannot be. */
function minutesOf(zone = 'Z'): number | undefined {
  if (zone === 'Z') return 0
  const [hours = 0, minutes = 0] = zone.slice(1).split(':').map(Number)
  if (hours > 23 || minutes > 59) return undefined
  return (zone.startsWith('-') ? -1 : 1) * (hours * 60 + minutes)
}
