import {isExhausted, systemErrorWords} from '../durable/index.js'
import type {Log} from '../errors/index.js'
import type {Session} from './sessions.js'

/** A minute or two, with the pauses between them. */
const MOST_READS = 10

/** Whatever the disk does not give after so many attempts is set aside. @throws what it says until then */
export async function reading<T>(session: Session, log: Log, read: () => Promise<T>): Promise<T> {
  try {
    const found = await read()
    session.unreadable = 0
    return found
  } catch (error) {
    // No fault of the file.
    if (isExhausted(error)) throw error
    const fields = {lane: session.id, error: systemErrorWords(error)}
    if (session.unreadable === 0) log.warn(fields, 'what was kept for the auth service cannot be read')
    if (++session.unreadable < MOST_READS) throw error
    await session.lane.salvage()
    session.unreadable = 0
    return await read()
  }
}
