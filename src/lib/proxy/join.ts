import {type JoinMode, joinModes} from '../access/index.js'
import {problem, problemLine} from '../errors/index.js'
import type {OuterConnection} from '../forward/index.js'
import {codeCheck, leaveScreen, type Seat, watchConnection} from '../session/index.js'
import type {Channel} from '../ssh/index.js'
import {WireWriter} from '../sshcert/index.js'
import type {ProxyContext} from './context.js'
import {askCode} from './join-code.js'

/** Who takes nothing any more is not waited for longer than this. */
const farewellMilliseconds = 1000
/** Lines for somebody who takes nothing are not kept for ever. */
const mostWaitingLines = 64 * 1024

/**
 * `ssh -s join:SID` or `join:SID:MODE`: seats a client at a session that runs here, on a channel that is open.
 * @throws invalid_input, not_found, access_denied, limit_exceeded, unavailable where another proxy, or a node on another machine, holds the session
 */
export async function joinSession(
  {auth, hub, hostId, now}: ProxyContext,
  {identity, remoteAddress}: OuterConnection,
  words: string,
  channel: Channel,
): Promise<void> {
  const {sid, mode} = parseJoin(words)
  const {tracker, user, roles, secondFactor, until} = await auth.permitJoin({identity, sid, mode})
  const party = hub.find(sid)
  if (!party && tracker.heldBy !== hostId && tracker.hostId === tracker.heldBy)
    throw problem(
      'unavailable',
      `the node ${tracker.holder} keeps this session to itself: no proxy can show it`,
      {
        hint: 'sessions that proxies record can be joined: session_recording: proxy',
      },
    )
  if (!party && tracker.heldBy !== hostId)
    throw problem('unavailable', `the session runs at ${tracker.holder}, and not at this proxy`, {
      hint: `join it with --proxy and the address of ${tracker.holder}`,
    })
  if (!party) throw problem('not_found', 'the session is over')
  if (secondFactor)
    await askCode(channel, codeCheck(auth, {user, address: remoteAddress, host: tracker.host, sid}))
  const seat = seatOn(channel)
  seat.tell(welcome(mode, sid, tracker.user))
  const guest = await party.join({user, roles, mode, address: remoteAddress, seat})
  channel.on('data', (data: Buffer) => {
    const hold = guest.input(data)
    if (!hold) return
    channel.pause()
    void hold.then(() => channel.resume())
  })
  channel.stderr.resume()
  const watch = watchConnection({
    ...{idleSeconds: 0, now, ...(until !== undefined && {expires: until})},
    onOver(error) {
      seat.tell(problemLine(error))
      void guest.leave()
    },
  })
  const leave = (): void => {
    watch.stop()
    void guest.leave()
  }
  if (channel.isClosed) leave()
  else channel.onClosed = leave
}

function parseJoin(words: string): {sid: string; mode: JoinMode} {
  const [sid = '', mode = 'observer', ...rest] = words.split(':')
  if (rest.length === 0 && isMode(mode)) return {sid: sid.toLowerCase(), mode}
  throw problem('invalid_input', 'this names no session and no way to join it', {
    hint: `as in join:SESSION-ID:MODE, with one of ${joinModes.join(', ')}`,
  })
}

const isMode = (mode: string): mode is JoinMode => (joinModes as readonly string[]).includes(mode)

const welcome = (mode: JoinMode, sid: string, owner: string): string => {
  const keys = {
    observer: 'Ctrl-C leaves',
    moderator: 'Ctrl-C leaves, t ends the session',
    peer: 'what you type goes to the session; ~. after Enter leaves',
  }
  return `you are joining session ${sid} of ${owner} as ${mode}: ${keys[mode]}`
}

function seatOn(channel: Channel): Seat {
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
