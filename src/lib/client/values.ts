import {parseDuration} from '../config/index.js'
import {problem} from '../errors/index.js'
import {isUuid} from '../names/index.js'

/** `a,b, c` as a flag holds it. @throws usage for an empty item, which is always a slip */
export function list(text: string | undefined): string[] {
  if (text === undefined) return []
  const items = text.split(',').map(item => item.trim())
  if (items.includes(''))
    throw problem('usage', `${JSON.stringify(text)} has an empty item`, {hint: 'write it as a,b,c'})
  return items
}

/** `1h`, `90m` in whole seconds. @throws usage */
export const durationSeconds = (text: string, flag: string): number =>
  wholeSeconds(parseDuration(text), text, flag)

/** The same where a number alone has always been minutes, and stays so: `60` is `1h`. @throws usage */
export const minutesOrDuration = (text: string, flag: string): number =>
  wholeSeconds(parseDuration(/^\d+$/.test(text) ? `${text}m` : text), text, flag)

function wholeSeconds(milliseconds: number | undefined, text: string, flag: string): number {
  if (milliseconds === undefined || milliseconds < 1000)
    throw problem('usage', `${flag} expects a duration, not ${JSON.stringify(text)}`, {
      hint: `as in ${flag}=8h or ${flag}=30m`,
    })
  return Math.floor(milliseconds / 1000)
}

/** A session ID as it was typed, in the form that it has everywhere. @throws usage for anything else */
export function sessionId(text: string): string {
  const sid = text.toLowerCase()
  if (isUuid(sid)) return sid
  throw problem('usage', `${JSON.stringify(text.slice(0, 64))} is not a session ID`, {
    hint: 'name sessions as `sallyport recordings ls` and `sallyport sessions ls` show them',
  })
}
