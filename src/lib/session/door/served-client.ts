import type {AuditInput} from '../../audit/event.js'
import {asProblem, type SallyportError} from '../../errors/index.js'
import {type ChannelOpen, type GlobalAnswer, type GlobalRequest, openFailure} from '../../ssh/index.js'
import {remotePortRequests} from '../channel/port-requests.js'
import {trackWork, type Work} from '../channel/work.js'
import {watchConnection} from '../watch/connection-watch.js'
import type {ConnectionGuard, GuardedPlace} from '../watch/guard.js'
import type {AdmittedClient} from './admit.js'

/** What a locked user's sessions have for their last words and records before the connection is cut. */
const lockedMilliseconds = 1000
/** Requests for ports that wait for their answer, wanted or not. */
const maxPortRequests = 64

export interface ClientSettings {
  admitted: AdmittedClient
  guard: ConnectionGuard
  /** Where it has logged in, and other names by which a lock can mean that. */
  host: string
  aliases: readonly string[]
  /** Puts on record what happens on the connection. */
  emit(input: AuditInput): Promise<unknown>
  /** The same of its end by us, where somebody else may keep that record. */
  emitEnd(input: AuditInput): Promise<unknown>
  /** Unix ms. */
  now: () => number
}

/** The sessions of a connection. */
export interface ClientSessions {
  open(open: ChannelOpen): void
  /** The client promises to open no more; held to it. */
  allowNoMore(): void
  end(error: SallyportError): void
  /** Resolves when those that run now are over. */
  idle(): Promise<void>
}

/** What a connection leads to. */
export interface ClientServices {
  sessions: ClientSessions
  /** direct-tcpip and direct-streamlocal. */
  forwardPort(open: ChannelOpen): Promise<void>
  /** A request of `remotePortRequests`. */
  requestPort(request: GlobalRequest): Promise<GlobalAnswer>
  /** Channels of other types; true: taken. */
  openOther?(open: ChannelOpen): boolean
  /** Other requests; undefined: not known. */
  answerOther?(request: GlobalRequest): GlobalAnswer | undefined
}

/** A client's connection, until everything about it is on record. */
export interface ServedClient {
  /** Resolves when the connection is over and everything about it is on record. Never rejects. */
  done: Promise<void>
  /** Ends every session, telling its user why, and then the connection. */
  end(error: SallyportError): void
}

/** A client's connection that nothing is served on yet. */
export interface ClientConnection {
  /** Bytes passed, either way. */
  onActivity(): void
  track: Work['track']
  /** Where the guard lets it stand; undefined before it is served, and where it does not. */
  place(): GuardedPlace | undefined
  /** What the sessions still have to deliver and to record comes first. */
  hangUp(): Promise<void>
  /** No more seconds without a byte than these, if it may be more. */
  tighten(idleSeconds: number): void
  /** For a client that ends by others' hands from now on. */
  stopWatching(): void
  /** To be called in the turn in which the client was admitted. */
  serve(services: ClientServices): ServedClient
}

/** What every connection to a host has: its limits, its place with the guard, its channels, its end. */
export function clientConnection(settings: ClientSettings): ClientConnection {
  const {connection: client, options, certificate, identity, login} = settings.admitted
  const work = trackWork()
  let sessions: ClientSessions | undefined
  let place: GuardedPlace | undefined

  const hangUp = async (): Promise<void> => {
    await sessions?.idle()
    client.disconnect()
  }
  const end = (error: SallyportError): void => {
    sessions?.end(error)
    void hangUp()
  }
  const cut = (error: SallyportError): void => {
    sessions?.end(error)
    const timer = setTimeout(() => client.fail(error), lockedMilliseconds)
    void Promise.resolve(sessions?.idle())
      .then(() => client.fail(error))
      .finally(() => clearTimeout(timer))
  }
  const noteEnd = (error: SallyportError): void =>
    work.track(settings.emitEnd({event: 'client.disconnect', fields: {reason: error.message}}))
  const watch = watchConnection({
    idleSeconds: options.idleTimeoutSeconds,
    ...(options.disconnectExpiredCert && {expires: Number(certificate.validBefore) * 1000}),
    now: settings.now,
    onOver(error) {
      noteEnd(error)
      end(error)
    },
  })
  const enter = (): void => {
    const {host, aliases} = settings
    const {lock, maxConnections} = options
    const onLocked = (error: SallyportError): void => {
      noteEnd(error)
      cut(error)
    }
    try {
      place = settings.guard.enter({
        ...{identity, logins: [login], host, aliases},
        ...{lock, maxConnections, onLocked},
      })
    } catch (thrown) {
      const error = asProblem(thrown)
      work.track(settings.emit({event: 'session.rejected', success: false, error: error.message}))
      cut(error)
    }
  }
  return {
    onActivity: watch.touch,
    track: work.track,
    place: () => place,
    hangUp,
    tighten: watch.tighten,
    stopWatching: watch.stop,
    serve(services) {
      sessions = services.sessions
      enter()
      client.onChannelOpen = open => openChannel(services, work, open)
      client.onGlobalRequest = answerRequests(services, work)
      const done = client.closed.then(() => {
        watch.stop()
        place?.leave()
        return work.idle()
      })
      return {done, end}
    },
  }
}

function openChannel(services: ClientServices, work: Work, open: ChannelOpen): void {
  if (open.type === 'session') return services.sessions.open(open)
  if (open.type === 'direct-tcpip' || open.type === 'direct-streamlocal@openssh.com')
    return work.track(services.forwardPort(open))
  if (services.openOther?.(open)) return
  open.reject(openFailure.unknownChannelType, `${open.type.slice(0, 64)} channels are not served here`)
}

function answerRequests(services: ClientServices, work: Work) {
  let portRequests = 0
  return (request: GlobalRequest): GlobalAnswer | Promise<GlobalAnswer> => {
    const answer = services.answerOther?.(request)
    if (answer !== undefined) return answer
    if (request.type === 'no-more-sessions@openssh.com') {
      services.sessions.allowNoMore()
      return true
    }
    if (!remotePortRequests.has(request.type) || portRequests >= maxPortRequests) return false
    portRequests++
    const answering = services.requestPort(request).finally(() => portRequests--)
    work.track(answering)
    return answering
  }
}
