import type {Duplex} from 'node:stream'
import {namesOf} from '../access/hosts.js'
import {noSuchHost} from '../access/route.js'
import type {AccessDecision, Identity} from '../access/types.js'
import type {AuditInput} from '../audit/event.js'
import {asProblem, problem, problemLine, type SallyportError} from '../errors/index.js'
import {serverFacts, type Target} from '../forward/index.js'
import {guardedTarget, type ServedClient, watchConnection} from '../session/index.js'
import type {Channel} from '../ssh/index.js'
import type {ProxyContext} from './context.js'

export interface RelayOptions {
  context: ProxyContext
  identity: Identity
  target: Target
  openChannel: () => Channel
  emit(input: AuditInput): Promise<unknown>
  /** Says the last word on the channel, and closes it. */
  farewell(channel: Channel, error: SallyportError): void
}

/**
 * Leads a client to a host and passes on bytes that nobody here can read. Which login they are for is between client and
 * host, so any login of the certificate may open the way, and a lock on any of them shuts it.
 */
export async function relay(options: RelayOptions): Promise<void> {
  const {context, identity, target, openChannel, emit, farewell} = options
  const {host, registered} = target
  const {lock, maxConnections, oversight, ...limits} = await decide(context, identity, target)
  // A node of ours sees to it itself that somebody looks on.
  if (oversight && registered?.subKind !== 'node') throw unseen()
  let over: SallyportError | undefined
  let end = (error: SallyportError): void => {
    over = error
  }
  const aliases = registered ? namesOf(registered) : []
  const entry = {identity, logins: identity.logins, host, aliases, lock, maxConnections}
  const place = context.guard.enter({...entry, onLocked: error => end(error)})
  let stream: Duplex | undefined
  try {
    const dialled = await guardedTarget(target, () => place).dial()
    stream = dialled.stream
    const facts = {...serverFacts(target), server_addr: dialled.address}
    await emit({event: 'session.connect', ...facts, fields: {session_recording: context.mode}})
    if (over) throw over
    if (stream.destroyed) throw hungUp(target)
    const channel = openChannel()
    const carried = carry({
      ...{context, channel, stream, onClosed: place.leave},
      onEnd(error) {
        emit({event: 'client.disconnect', ...facts, fields: {reason: error.message}}).catch(lost =>
          context.log.warn({error: problemLine(asProblem(lost))}, 'audit event lost'),
        )
        farewell(channel, error)
      },
    })
    end = carried.end
    const watch = watchConnection({
      idleSeconds: limits.idleTimeoutSeconds,
      ...(limits.disconnectExpiredCert && {expires: identity.validBefore * 1000}),
      now: context.now,
      onOver: end,
    })
    channel.on('data', watch.touch)
    stream.on('data', watch.touch)
    void carried.done.then(watch.stop)
  } catch (error) {
    place.leave()
    stream?.destroy()
    throw error
  }
}

type Allowed = Extract<AccessDecision, {allowed: true}>

/** @throws access_denied where no login of the certificate may go to the host */
async function decide(
  {auth}: ProxyContext,
  identity: Identity,
  {host, registered, cluster}: Target,
): Promise<Allowed['options']> {
  let reason: string | undefined
  for (const login of identity.logins) {
    const decision = await auth.decide({
      ...{identity, login, host},
      ...(registered && {hostId: registered.id}),
      ...(cluster && {cluster: cluster.name}),
    })
    if (decision.allowed) return decision.options
    if (decision.hidden) throw noSuchHost(host, decision.reason)
    reason ??= decision.reason
  }
  throw problem('access_denied', `access to ${host} denied: ${reason ?? 'the certificate is for no login'}`)
}

export const unseen = (): SallyportError =>
  problem(
    'access_denied',
    'your sessions need somebody who looks on, and this proxy cannot show them to anybody',
    {
      hint: 'ask an administrator',
    },
  )

const hungUp = ({host, port}: Target): SallyportError =>
  problem('host_unreachable', `${host}:${port} closed the connection at once`, {
    hint: 'its sshd may be dropping connections: see MaxStartups in its sshd_config',
  })

export interface CarryOptions {
  context: Pick<ProxyContext, 'forwarders'>
  channel: Channel
  stream: Duplex
  /** Ended from here: to say the last word on the channel. Called once. */
  onEnd(error: SallyportError): void
  /** The stream is closed. */
  onClosed?(): void
}

/** Passes bytes between a client's channel and a machine, until both have ended; the proxy waits for it when it stops. */
export function carry({context, channel, stream, onEnd, onClosed}: CarryOptions): ServedClient {
  const passing = pass(channel, stream, onClosed ?? (() => undefined))
  let over = false
  const carried: ServedClient = {
    done: passing.ended.then(() => (over ? lastWordsTaken(channel) : undefined)),
    end(error) {
      if (over) return
      over = true
      passing.cut()
      onEnd(error)
    },
  }
  context.forwarders.add(carried)
  void carried.done.then(() => context.forwarders.delete(carried))
  return carried
}

/** Somebody who does not read is not waited for longer than this. */
const farewellMilliseconds = 1000

async function lastWordsTaken(channel: Channel): Promise<void> {
  if (channel.isClosed) return
  let timer: NodeJS.Timeout | undefined
  await new Promise<void>(resolve => {
    timer = setTimeout(resolve, farewellMilliseconds)
    channel.once('close', resolve)
  })
  clearTimeout(timer)
}

interface Passing {
  /** Resolves when the socket is closed. */
  ended: Promise<void>
  /** Cuts them apart at once, and leaves the channel open. */
  cut(): void
}

function pass(channel: Channel, socket: Duplex, onOver: () => void): Passing {
  const ended = new Promise<void>(resolve => {
    if (socket.closed) resolve()
    else socket.once('close', () => resolve())
  })
  return {ended, cut: splice(channel, socket, onOver)}
}

/**
 * Passes bytes between a channel and a socket until both have ended.
 * @returns what cuts them apart at once, and leaves the channel open
 */
export function splice(channel: Channel, socket: Duplex, onOver: () => void): () => void {
  channel.stderr.resume()
  const hangUp = (): void => void channel.end(() => channel.close())
  socket.on('close', onOver)
  if (channel.isClosed) {
    socket.destroy()
    return () => undefined
  }
  socket.on('close', hangUp)
  channel.onClosed = () => socket.destroy()
  channel.pipe(socket)
  socket.pipe(channel)
  return () => {
    socket.off('close', hangUp)
    socket.destroy()
  }
}
