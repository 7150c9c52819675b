import {problem} from '../errors/index.js'
import {isUuid} from '../names/index.js'
import type {AuditEvent, AuditInput} from './event.js'
import type {RecentUids} from './recent-uids.js'

export interface OnceOptions {
  enqueue(input: AuditInput, uid: string): Promise<AuditEvent>
  recent(): Promise<RecentUids>
  find(seq: number): Promise<AuditEvent | undefined>
}

/** Gives the record that is there already for an event that is told again. */
export function createOnce({enqueue, recent, find}: OnceOptions) {
  let reading: Promise<RecentUids> | undefined
  const writing = new Map<string, Promise<AuditEvent>>()

  /** Read when it is needed first: where nobody tells an event twice it never is. */
  const read = (): Promise<RecentUids> => {
    reading ??= recent().catch(error => {
      reading = undefined
      throw error
    })
    return reading
  }

  return async (input: AuditInput, uid: string): Promise<AuditEvent> => {
    if (!isUuid(uid)) throw problem('invalid_input', 'the uid of the event is no UUID')
    const uids = await read()
    const seq = uids.get(uid)
    const known = seq === undefined ? undefined : await find(seq)
    if (known) return known
    const written = writing.get(uid) ?? enqueue(input, uid)
    writing.set(uid, written)
    try {
      const event = await written
      uids.add(uid, event.seq)
      return event
    } finally {
      writing.delete(uid)
    }
  }
}
