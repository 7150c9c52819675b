import type {Writable} from 'node:stream'
import type {TerminalSize} from '../channel/requests.js'
import {leaveScreen} from '../screen/paint.js'
import type {Seat} from './audience.js'
import type {SessionHub} from './hub.js'

/** What somebody at the machine itself is sent, a line of JSON each (docs/wire-protocol.md, watching on the auth host). */
export type WatchFrame =
  | {tell: string}
  | {size: TerminalSize}
  | {show: string}
  /** The session is over, or has nothing more to show. */
  | {end: true}

/** Who looks on through the file system: no user of the cluster, but whoever runs the service. */
const localAdmin = {user: 'admin', roles: [], mode: 'observer'} as const

/**
 * Seats the administrator of this machine at a session that it holds, as one who only looks on; on record as anybody who
 * joins. Leaves when `output` closes. False where the session is not here.
 * @throws limit_exceeded, not_found for a session that is over, and what the audit log says
 */
export async function watchHere(
  hub: Pick<SessionHub, 'find'> | undefined,
  sid: string,
  output: Writable,
): Promise<boolean> {
  const party = hub?.find(sid)
  if (!party) return false
  const gone = new Promise<void>(resolve => {
    if (output.destroyed) resolve()
    else output.once('close', resolve)
  })
  const guest = await party.join({...localAdmin, seat: seatOnLines(output)})
  await gone
  await guest.leave()
  return true
}

/** Who takes nothing any more is not waited for longer than this. */
const farewellMilliseconds = 1000
/** Lines for somebody who takes nothing are not kept for ever. */
const mostWaitingLines = 64 * 1024

/** A seat at the other end of a stream. What that does not take is kept here, to be dropped. */
function seatOnLines(output: Writable): Seat {
  let unsent = ''
  let over = false
  let hasScreen = false
  const send = (frame: WatchFrame): void => {
    if (output.writable) output.write(`${JSON.stringify(frame)}\n`, flush)
  }
  const flush = (): void => {
    if (over || output.writableLength > 0) return
    if (unsent === '') return seat.onDrained?.()
    const text = unsent
    unsent = ''
    send({show: text})
  }
  const seat: Seat = {
    onDrained: undefined,
    show(text) {
      unsent += text
      flush()
    },
    get waiting() {
      return unsent.length + output.writableLength
    },
    forget() {
      unsent = ''
    },
    tell(line) {
      if (!over && output.writableLength <= mostWaitingLines) send({tell: line})
    },
    resize(size) {
      hasScreen = true
      send({size})
    },
    close() {
      if (over) return
      over = true
      send({show: unsent + (hasScreen ? leaveScreen : '')})
      send({end: true})
      output.end()
      setTimeout(() => output.destroy(), farewellMilliseconds).unref()
    },
  }
  return seat
}
