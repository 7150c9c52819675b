import type {AuditInput} from '../../audit/event.js'
import {hostOfAddress} from '../../names/index.js'

/** So many refusals of one address are on record each by itself; what is beyond that within the minute is counted. */
export const SINGLE_REFUSALS = 60
export const REFUSAL_WINDOW_MS = 60_000
/** Addresses that are told apart; all others are taken together. */
export const REFUSED_ADDRESSES = 4096
const OTHERS = 'other addresses'
/** Names and reasons that a count is given with. */
const EXAMPLES = 8

export interface RefusalReporter {
  /** An event of somebody who was not let in. */
  report(input: AuditInput): void
  /** Puts on record what is only counted yet. */
  flush(): void
}

interface Window {
  count: number
  /** The last event that was only counted. */
  last?: AuditInput
  names: Set<string>
  reasons: Set<string>
  timer: NodeJS.Timeout
}

/**
 * Keeps strangers from filling the audit log: each event is a write that the disk has to confirm, and a stranger can make
 * hundreds a second.
 */
export function limitRefusals(report: (input: AuditInput) => void): RefusalReporter {
  const windows = new Map<string, Window>()
  const close = (address: string, {count, last, names, reasons, timer}: Window): void => {
    clearTimeout(timer)
    windows.delete(address)
    const more = count - SINGLE_REFUSALS
    if (!last || more <= 0) return
    const {'addr.remote': _, user, login, error, ...facts} = last
    report({
      ...facts,
      'addr.remote': address,
      error: `${more} more were refused within a minute`,
      fields: {...last.fields, count: more, names: [...names], reasons: [...reasons]},
    })
  }
  const open = (address: string): Window => {
    const timer = setTimeout(() => close(address, window), REFUSAL_WINDOW_MS).unref()
    const window: Window = {count: 0, names: new Set(), reasons: new Set(), timer}
    windows.set(address, window)
    return window
  }
  return {
    report(input) {
      const own = hostOfAddress(input['addr.remote'] ?? '')
      const address = windows.has(own) || windows.size < REFUSED_ADDRESSES ? own : OTHERS
      const window = windows.get(address) ?? open(address)
      window.count++
      if (window.count <= SINGLE_REFUSALS) return report(input)
      window.last = input
      const name = input.user ?? input.login
      if (name !== undefined && window.names.size < EXAMPLES) window.names.add(name)
      if (input.error !== undefined && window.reasons.size < EXAMPLES) window.reasons.add(input.error)
    },
    flush() {
      for (const [address, window] of windows) close(address, window)
    },
  }
}
