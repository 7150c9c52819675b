import {type Identity, type JoinMode, joinModes} from '../../access/index.js'
import type {AuthApi, JoinPermit, SessionTracker} from '../../auth/contract.js'
import {asProblem, problem, problemLine} from '../../errors/index.js'
import type {Channel} from '../../ssh/index.js'
import {requirePin} from '../door/admit.js'
import {codeCheck} from '../door/second-factor.js'
import {watchConnection} from '../watch/connection-watch.js'
import type {SessionHub} from './hub.js'
import {askCode} from './join-code.js'
import {seatOn} from './seat.js'

/** A machine that holds sessions, its own ones to be joined. */
export interface JoinableHost {
  auth: Pick<AuthApi, 'permitJoin' | 'checkSessionMfa'>
  hub: Pick<SessionHub, 'find'>
  /** UUID of this machine. */
  hostId: string
  /** Unix ms. */
  now: () => number
  /** Told of what is put on record when somebody leaves; it never rejects. */
  track?(leaving: Promise<void>): void
}

/** Somebody who wants to join, by the certificate of their connection. */
export interface JoiningClient {
  identity: Identity
  /** `ip:port` */
  remoteAddress: string
  /** The certificate is good from this address alone. */
  pinned: boolean
}

/** Which session, and as what. */
export interface JoinWish {
  sid: string
  mode: JoinMode
}

/** `SID` or `SID:MODE`; without a mode it is an observer who comes. @throws invalid_input */
export function parseJoin(words: string): JoinWish {
  const [sid = '', mode = 'observer', ...rest] = words.split(':')
  if (rest.length === 0 && isMode(mode)) return {sid: sid.toLowerCase(), mode}
  throw problem('invalid_input', 'this names no session and no way to join it', {
    hint: `as in join:SESSION-ID:MODE, with one of ${joinModes.join(', ')}`,
  })
}

const isMode = (mode: string): mode is JoinMode => (joinModes as readonly string[]).includes(mode)

/**
 * Whether somebody may join. While nobody can be asked the answer is no: unlike a login, it is nobody's daily bread.
 * @throws not_found, access_denied, unavailable
 */
export async function askPermit(
  auth: JoinableHost['auth'],
  identity: Identity,
  wish: JoinWish,
): Promise<JoinPermit> {
  try {
    return await auth.permitJoin({identity, ...wish})
  } catch (thrown) {
    const error = asProblem(thrown)
    if (error.code !== 'unavailable' && error.code !== 'timeout') throw error
    throw problem('unavailable', `nobody can say who may join a session: ${error.message}`, {
      hint: 'try again when the auth service is there; who has joined already stays',
      cause: error,
    })
  }
}

/** Where a session can be joined, as seen from a machine: there, nowhere any more, or at another machine. Pure. */
export function placeOf(
  {heldBy}: Pick<SessionTracker, 'heldBy'>,
  hostId: string,
  runsHere: boolean,
): 'here' | 'over' | 'elsewhere' {
  if (heldBy !== hostId) return 'elsewhere'
  return runsHere ? 'here' : 'over'
}

/**
 * Seats a client at a session that runs here, on a channel that is open, for `SID` or `SID:MODE`.
 * @returns what the cluster says of a session that another machine holds; undefined for who is seated
 * @throws invalid_input, not_found, access_denied, limit_exceeded, unavailable where nobody can decide
 */
export async function seatClient(
  {auth, hub, hostId, now, track = () => undefined}: JoinableHost,
  {identity, remoteAddress, pinned}: JoiningClient,
  words: string,
  channel: Channel,
): Promise<JoinPermit | undefined> {
  const {sid, mode} = parseJoin(words)
  const permit = await askPermit(auth, identity, {sid, mode})
  const {tracker, user, roles, secondFactor, pinSourceIp = false, until} = permit
  const place = placeOf(tracker, hostId, hub.find(sid) !== undefined)
  if (place === 'elsewhere') return permit
  if (place === 'over') throw over()
  requirePin({pinSourceIp}, pinned)
  if (secondFactor)
    await askCode(channel, codeCheck(auth, {user, address: remoteAddress, host: tracker.host, sid}))
  const party = hub.find(sid)
  if (!party) throw over()
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
  const closed = channel.onClosed
  const leave = (): void => {
    watch.stop()
    track(guest.leave())
    closed?.()
  }
  if (channel.isClosed) leave()
  else channel.onClosed = leave
  return undefined
}

const over = () =>
  problem('not_found', 'the session is over', {hint: '`sallyport sessions ls` shows those that run'})

const welcome = (mode: JoinMode, sid: string, owner: string): string => {
  const keys = {
    observer: 'Ctrl-C leaves',
    moderator: 'Ctrl-C leaves, t ends the session',
    peer: 'what you type goes to the session; ~. after Enter leaves',
  }
  return `you are joining session ${sid} of ${owner} as ${mode}: ${keys[mode]}`
}
