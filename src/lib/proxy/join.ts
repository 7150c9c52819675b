import type {AuditInput} from '../audit/event.js'
import type {HolderWay, JoinPermit, SessionTracker} from '../auth/contract.js'
import {asProblem, problem, problemLine, type SallyportError} from '../errors/index.js'
import type {OuterConnection} from '../forward/index.js'
import {splitAddress} from '../names/index.js'
import {askPermit, parseJoin, seatClient} from '../session/index.js'
import type {Channel} from '../ssh/index.js'
import {WireWriter} from '../sshcert/index.js'
import {carry} from './carry.js'
import type {ProxyContext} from './context.js'
import {dialAddresses, resolveTarget} from './dial.js'
import {provesNode, shown} from './node-proof.js'
import {dialRegistered, type Router} from './route.js'

export interface JoinWay {
  context: ProxyContext
  /** How this client's connection reaches hosts. */
  router: Router
  outer: OuterConnection
  emit(input: AuditInput): Promise<unknown>
  /** Says the last word on the channel, and closes it. */
  farewell(channel: Channel, error: SallyportError): void
}

/**
 * `join:SID` or `join:SID:MODE`: seats a client at a session that runs here. Of one that another machine holds the client
 * is told which that is, and asks there, by `holder:`.
 * @throws invalid_input, not_found, access_denied, limit_exceeded, unavailable
 */
export async function joinHere(
  {context, outer, farewell}: JoinWay,
  words: string,
  channel: Channel,
): Promise<void> {
  const permit = await seatClient(context, outer, words, channel)
  if (!permit) return
  const {tracker} = permit
  const holder = new WireWriter().string(tracker.heldBy).string(tracker.holder).finish()
  void channel.request('session-holder@sallyport', holder, false)
  farewell(channel, elsewhere(tracker))
}

/**
 * `holder:SID` or `holder:SID:MODE`: leads a client that may join the session to the SSH server of the machine that holds
 * it, which decides for itself. Which machine that is says the cluster, and nobody else: a client names no address.
 * @throws invalid_input, not_found, access_denied, unavailable, host_unreachable, dial_forbidden
 */
export async function leadToHolder(way: JoinWay, words: string, channel: Channel): Promise<void> {
  const {context, outer, emit} = way
  const wish = parseJoin(words)
  const permit = await askPermit(context.auth, outer.identity, wish)
  const {tracker} = permit
  if (tracker.heldBy === context.hostId)
    throw problem('invalid_input', 'this proxy holds the session itself', {
      hint: `ask it for join:${tracker.sid}`,
    })
  const {host: authorities} = await context.auth.trustedAuthorities()
  const {stream, address} = await dialHolder(way, permit)
  const facts = {server_id: tracker.heldBy, server_hostname: tracker.holder, server_addr: address}
  // Not as the event's own session: whoever tells of one claims it, and this one is the holder's.
  const fields = {session_recording: context.mode, joins: tracker.sid, mode: wish.mode, owner: tracker.user}
  try {
    await emit({event: 'session.connect', ...facts, fields})
  } catch (error) {
    stream.destroy()
    throw error
  }
  // A machine says itself where it is.
  const proof = provesNode({id: tracker.heldBy, hostname: tracker.holder}, {authorities, now: context.now})
  const readAlong = shown(proof, error => carried.end(error))
  const carried = carry({
    ...{channel, stream, running: context.forwarders},
    onBytes: fromStream => fromStream && readAlong(fromStream),
    farewell(error) {
      emit({event: 'client.disconnect', ...facts, fields: {...fields, reason: error.message}}).catch(lost =>
        context.log.warn({error: problemLine(asProblem(lost))}, 'audit event lost'),
      )
      way.farewell(channel, error)
    },
  })
}

/** @throws unavailable, host_unreachable, dial_forbidden */
async function dialHolder({context, router}: JoinWay, {way, tracker}: JoinPermit) {
  if (!way) throw unknownHolder(tracker)
  try {
    return await dialWay(context, router, way)
  } catch (thrown) {
    const error = asProblem(thrown)
    throw problem(
      error.code,
      `${tracker.holder}, which holds this session, cannot be reached: ${error.message}`,
      {
        hint: 'see whether it runs; a session ends with the machine that holds it',
        cause: error,
      },
    )
  }
}

function dialWay({dial}: ProxyContext, router: Router, way: HolderWay) {
  if (way.kind === 'node') return dialRegistered(router, way.host)
  const place = splitAddress(way.address)
  if (!place) throw problem('host_unreachable', 'it says of itself that it is nowhere')
  return resolveTarget(place.host, dial).then(resolved =>
    dialAddresses({...place, claimed: true}, resolved, dial),
  )
}

const unknownHolder = ({holder}: SessionTracker): SallyportError =>
  problem('unavailable', `the session is held by ${holder}, which is no machine of this cluster any more`, {
    hint: '`sallyport sessions ls` shows the sessions that run; its own are forgotten within half an hour',
  })

const elsewhere = ({holder, sid}: SessionTracker): SallyportError =>
  problem('unavailable', `the session runs at ${holder}, and not at this proxy`, {
    hint: `join it by \`sallyport join ${sid}\`, which goes there by itself`,
  })
