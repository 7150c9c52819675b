import type {Channel} from '../../ssh/index.js'
import {WireWriter} from '../../sshcert/index.js'
import {farewellMilliseconds} from '../door/limits.js'
import {leaveScreen} from '../screen/paint.js'
import type {Seat} from './audience.js'

/** Lines for somebody who takes nothing are not kept for ever. */
const mostWaitingLines = 64 * 1024

/** The place of somebody who has joined, at the other end of a channel (docs/wire-protocol.md, joining a session). */
export function seatOn(channel: Channel): Seat {
  let closed = false
  let hasScreen = false
  const seat: Seat = {
    onDrained: undefined,
    show(text) {
      if (closed) return
      channel.write(Buffer.from(text), () => {
        if (channel.writableLength === 0) seat.onDrained?.()
      })
    },
    get waiting() {
      return channel.writableLength
    },
    forget: () => channel.dropUnsent(),
    tell(line) {
      if (closed || channel.stderr.writableLength > mostWaitingLines) return
      channel.stderr.write(`sallyport: ${line}\r\n`)
    },
    resize({columns, rows}) {
      hasScreen = true
      const size = new WireWriter().u32(columns).u32(rows).finish()
      void channel.request('session-size@sallyport', size, false)
    },
    close() {
      if (closed) return
      closed = true
      const timer = setTimeout(() => channel.close(), farewellMilliseconds)
      channel.end(Buffer.from(hasScreen ? leaveScreen : ''), () => {
        clearTimeout(timer)
        void channel.request('exit-status', new WireWriter().u32(0).finish(), false)
        channel.close()
      })
    },
  }
  return seat
}
