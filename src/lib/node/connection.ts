import {asProblem, problemLine, type SallyportError} from '../errors/index.js'
import {
  type ConnectionWatch,
  checkForwarderProof,
  forwarderProofRequest,
  type GuardedPlace,
  remotePortRequests,
  serverLabels,
  sessionIdQuery,
  trackWork,
  watchConnection,
} from '../session/index.js'
import {type GlobalAnswer, type GlobalRequest, openFailure} from '../ssh/index.js'
import {createPorts} from './ports.js'
import {recordingPlace} from './recording-place.js'
import {createResizeEvents, resizeEventsChannel} from './resize-events.js'
import {createNodeSessions} from './sessions.js'
import type {Admitted, NodeSettings, Peer} from './types.js'
import type {UserSockets} from './user-sockets.js'

/** What a locked user's sessions have for their last words and records before the connection is cut. */
const lockedMilliseconds = 1000
/** A forwarder proves itself once. */
const maxProofs = 2
/** Requests for ports that wait for their answer, wanted or not. */
const maxPortRequests = 64

/** A client's connection, until everything about it is on record. */
export interface NodeClient {
  /** Resolves when the connection is over and everything about it is on record. Never rejects. */
  done: Promise<void>
  /** Ends every session, telling its user why, and then the connection. */
  end(error: SallyportError): void
}

/** Serves a client's channels and requests until its connection ends. */
export function serveNodeClient(
  settings: NodeSettings,
  sockets: UserSockets,
  admitted: Admitted,
  peer: Peer,
): NodeClient {
  const {connection: client, options, login, identity} = admitted
  const {log} = settings
  const facts = factsOf(settings, admitted, peer)
  const work = trackWork()
  const peerProof = forwarderProof(settings, admitted)
  const place = () => recordingPlace(settings.recording(), peerProof.proven)
  const emit: NodeSettings['auth']['emit'] = input => settings.auth.emit({...facts, proto: 'ssh', ...input})
  const emitHere = async (input: Parameters<typeof emit>[0]): Promise<void> => {
    // Where a forwarder keeps the record, each event is written once, by it.
    if (place() !== 'forwarder') await emit(input)
  }
  const watch = watchClient(settings, admitted, error => {
    work.track(emitHere({event: 'client.disconnect', fields: {reason: error.message}}))
    end(error)
  })
  const onActivity = watch.touch
  const resizes = createResizeEvents()
  const sessions = createNodeSessions({
    ...{settings, admitted, peer, facts, place, onActivity},
    onResize: resizes.announce,
    track: work.track,
  })
  const ports = createPorts({
    ...{sockets, onActivity, emit: emitHere, track: work.track},
    allowed: options.portForwarding,
    account: () => settings.system.account(login),
    openChannel: (type, data) => client.openChannel(type, data),
  })

  const hangUp = (): Promise<void> => sessions.idle().then(() => client.disconnect())
  const end = (error: SallyportError): void => {
    sessions.end(error)
    void hangUp()
  }
  const cut = (error: SallyportError): void => {
    sessions.end(error)
    const timer = setTimeout(() => client.fail(error), lockedMilliseconds)
    void sessions
      .idle()
      .then(() => client.fail(error))
      .finally(() => clearTimeout(timer))
  }

  let guarded: GuardedPlace | undefined
  try {
    guarded = settings.guard.enter({
      ...{identity, logins: [login], host: settings.nodename},
      ...{lock: options.lock, maxConnections: options.maxConnections},
      onLocked: error => {
        work.track(emitHere({event: 'client.disconnect', fields: {reason: error.message}}))
        cut(error)
      },
    })
    // A node can be locked by its UUID too.
    guarded.reached(settings.hostId)
  } catch (thrown) {
    const error = asProblem(thrown)
    work.track(emit({event: 'session.rejected', success: false, error: error.message}))
    cut(error)
  }

  client.onChannelOpen = open => {
    if (open.type === 'session') return sessions.open(open)
    if (open.type === resizeEventsChannel) return resizes.subscribe(open)
    if (open.type === 'direct-tcpip' || open.type === 'direct-streamlocal@openssh.com')
      return work.track(ports.forward(open))
    open.reject(openFailure.unknownChannelType, `${open.type.slice(0, 64)} channels are not served here`)
  }
  let portRequests = 0
  client.onGlobalRequest = (request): GlobalAnswer | Promise<GlobalAnswer> => {
    if (request.type === forwarderProofRequest) {
      if (peerProof.receive(request)) watch.stop()
      return peerProof.proven
    }
    if (request.type === sessionIdQuery) return place() === 'forwarder'
    if (request.type === 'no-more-sessions@openssh.com') {
      sessions.allowNoMore()
      return true
    }
    if (!remotePortRequests.has(request.type) || portRequests >= maxPortRequests) return false
    portRequests++
    const answering = ports.request(request).finally(() => portRequests--)
    work.track(answering)
    return answering
  }
  void client.closed.then(error => {
    ports.close()
    watch.stop()
    guarded?.leave()
    if (error) log.info({user: identity.user, login, error: problemLine(error)}, 'connection broke')
  })
  return {done: client.closed.then(() => work.idle()), end}
}

/**
 * Whether the peer has proven to be a forwarder of the cluster. Nothing else makes it one: a peer that only says so, or
 * whose proof does not hold, is a user's client, and recorded like one.
 */
function forwarderProof({now, log}: NodeSettings, {connection, hostAuthorities, identity}: Admitted) {
  let left = maxProofs
  return {
    proven: false,
    receive({data}: GlobalRequest): boolean {
      if (this.proven || left-- <= 0) return false
      try {
        const sessionId = connection.sessionId()
        checkForwarderProof(data, {authorities: hostAuthorities, sessionId, now: now()})
        this.proven = true
      } catch (error) {
        log.warn({user: identity.user, error: problemLine(asProblem(error))}, 'a forwarder was not believed')
      }
      return this.proven
    },
  }
}

function watchClient(
  settings: NodeSettings,
  {certificate, options}: Admitted,
  onOver: (error: SallyportError) => void,
): ConnectionWatch {
  return watchConnection({
    idleSeconds: options.idleTimeoutSeconds,
    ...(options.disconnectExpiredCert && {expires: Number(certificate.validBefore) * 1000}),
    now: settings.now,
    onOver,
  })
}

const factsOf = (
  {hostId, nodename, labels}: NodeSettings,
  {identity, login}: Admitted,
  {localAddress, remoteAddress}: Peer,
) => ({
  user: identity.user,
  login,
  ...serverLabels(labels()),
  server_id: hostId,
  server_hostname: nodename,
  server_addr: localAddress,
  'addr.remote': remoteAddress,
  'addr.local': localAddress,
})
