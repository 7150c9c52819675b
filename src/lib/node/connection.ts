import {asProblem, problemLine} from '../errors/index.js'
import {
  checkForwarderProof,
  clientConnection,
  type Ends,
  forwarderProofRequest,
  type ServedClient,
  serverLabels,
  sessionIdQuery,
} from '../session/index.js'
import type {GlobalRequest} from '../ssh/index.js'
import {createPorts} from './ports.js'
import {recordingPlace} from './recording-place.js'
import {createResizeEvents, resizeEventsChannel} from './resize-events.js'
import {createNodeSessions} from './sessions.js'
import type {Admitted, NodeSettings} from './types.js'
import type {UserSockets} from './user-sockets.js'

/** A forwarder proves itself once. */
const maxProofs = 2

/** Serves a client's channels and requests until its connection ends. */
export function serveNodeClient(
  settings: NodeSettings,
  sockets: UserSockets,
  admitted: Admitted,
  peer: Ends,
): ServedClient {
  const {connection: client, options, login, identity} = admitted
  const facts = factsOf(settings, admitted, peer)
  const peerProof = forwarderProof(settings, admitted)
  const place = () => recordingPlace(settings.recording(), peerProof.proven)
  const emit: NodeSettings['auth']['emit'] = input => settings.auth.emit({...facts, proto: 'ssh', ...input})
  const emitHere = async (input: Parameters<typeof emit>[0]): Promise<void> => {
    // Where a forwarder keeps the record, each event is written once, by it.
    if (place() !== 'forwarder') await emit(input)
  }
  const {guard, nodename, hostId, now, log} = settings
  const connection = clientConnection({
    // A node can be locked by its UUID too.
    ...{admitted, guard, host: nodename, aliases: [hostId]},
    ...{emit, emitEnd: emitHere, now},
  })
  const {onActivity, track} = connection
  const resizes = createResizeEvents()
  const sessions = createNodeSessions({
    ...{settings, admitted, peer, facts, place, onActivity, track},
    onResize: resizes.announce,
  })
  const ports = createPorts({
    ...{sockets, onActivity, emit: emitHere, track},
    allowed: options.portForwarding,
    account: () => settings.system.account(login),
    openChannel: (type, data) => client.openChannel(type, data),
  })
  const served = connection.serve({
    ...{sessions, forwardPort: ports.forward, requestPort: ports.request},
    openOther(open) {
      if (open.type !== resizeEventsChannel) return false
      resizes.subscribe(open)
      return true
    },
    answerOther(request) {
      if (request.type === sessionIdQuery) return place() === 'forwarder'
      if (request.type !== forwarderProofRequest) return undefined
      if (peerProof.receive(request)) connection.stopWatching()
      return peerProof.proven
    },
  })
  void client.closed.then(error => {
    ports.close()
    if (error) log.info({user: identity.user, login, error: problemLine(error)}, 'connection broke')
  })
  return served
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

const factsOf = (
  {hostId, nodename, labels}: NodeSettings,
  {identity, login}: Admitted,
  {localAddress, remoteAddress}: Ends,
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
