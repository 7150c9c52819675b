import {type EventName, eventCodes} from '../../audit/index.js'
import {problem} from '../../errors/index.js'
import {nearNames} from '../../names/index.js'

const MOST_SUGGESTED = 6

/** Names of events as they were given. Throws `usage` for one that is none, with those that it may mean. Pure. */
export function eventNames(given: readonly string[]): EventName[] {
  return given.map(name => {
    if (isEventName(name)) return name
    const near = similar(name).slice(0, MOST_SUGGESTED)
    throw problem('usage', `there is no event ${JSON.stringify(name.slice(0, 64))}`, {
      hint: near.length > 0 ? `there is ${near.join(', ')}` : 'docs/audit-log.md has the names of all events',
    })
  })
}

const isEventName = (name: string): name is EventName => Object.hasOwn(eventCodes, name)

/** By a slip of the hand, and by a part of the name. */
function similar(name: string): string[] {
  const known = Object.keys(eventCodes)
  const wanted = name.toLowerCase()
  const parts = wanted.split('.').filter(part => part.length > 2)
  const whole = known.filter(other => wanted.length > 2 && other.includes(wanted))
  const shared = known.filter(other => other.split('.').some(part => parts.includes(part)))
  return [...new Set([...nearNames(wanted, known), ...whole, ...shared])]
}
