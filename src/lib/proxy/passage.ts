import type {Duplex} from 'node:stream'
import {namesOf} from '../access/hosts.js'
import type {Identity, SessionOptions} from '../access/types.js'
import type {AuditInput} from '../audit/event.js'
import {asProblem, problem, problemLine, type SallyportError} from '../errors/index.js'
import {serverFacts, type Target} from '../forward/index.js'
import {
  type ConnectionGuard,
  guardedTarget,
  type Log,
  type ServedClient,
  watchConnection,
} from '../session/index.js'
import type {Channel} from '../ssh/index.js'

export interface PassageOptions {
  guard: ConnectionGuard
  /** Everything that a proxy on its way out waits for. */
  running: Set<ServedClient>
  /** Who goes there, by the roles that count here. */
  identity: Identity
  /** Absent where only client and host see it: then it may be any of the certificate. */
  login?: string
  target: Target
  /** What those roles say. */
  options: SessionOptions
  /** What the event about the connection says besides. */
  fields: Record<string, unknown>
  emit(input: AuditInput): Promise<unknown>
  openChannel(): Channel
  /** Says the last word on the channel, and closes it. */
  farewell(channel: Channel, error: SallyportError): void
  log: Log
  /** Unix ms. */
  now: () => number
}

/**
 * Leads somebody who was let in to a host, and passes on bytes that nobody here can read: until one side ends it, a lock is
 * against it, nothing passes for too long, or the certificate has expired and that counts. Resolves when bytes pass.
 * @throws access_denied, limit_exceeded, host_unreachable, dial_forbidden, unavailable
 */
export async function passThrough(passage: PassageOptions): Promise<void> {
  const {identity, login, target, options, emit} = passage
  if (options.oversight && !seesToIt(target, login)) throw unseen()
  let over: SallyportError | undefined
  let end = (error: SallyportError): void => {
    over = error
  }
  const place = passage.guard.enter({
    identity,
    logins: login === undefined ? identity.logins : [login],
    host: target.host,
    aliases: target.registered ? namesOf(target.registered) : [],
    ...{lock: options.lock, maxConnections: options.maxConnections},
    onLocked: error => end(error),
  })
  let stream: Duplex | undefined
  try {
    const dialled = await guardedTarget(target, () => place).dial(login)
    stream = dialled.stream
    const server = {...serverFacts(target), server_addr: dialled.address}
    const facts = {...server, ...(login !== undefined && {login})}
    await emit({event: 'session.connect', ...facts, fields: passage.fields})
    if (over) throw over
    if (stream.destroyed) throw hungUp(target)
    end = pass(passage, {channel: passage.openChannel(), stream, terms: dialled.terms}, place.leave, reason =>
      emit({event: 'client.disconnect', ...facts, fields: {...passage.fields, reason}}),
    )
  } catch (error) {
    place.leave()
    stream?.destroy()
    throw error
  }
}

/** A node of ours sees to it itself that somebody looks on at the sessions of our users. */
const seesToIt = ({registered}: Target, login: string | undefined): boolean =>
  registered?.subKind === 'node' && login === undefined

interface Ends {
  channel: Channel
  stream: Duplex
  terms: Awaited<ReturnType<Target['dial']>>['terms']
}

/** Returns what ends it, and says why. */
function pass(
  {identity, options, running, log, now, farewell}: PassageOptions,
  {channel, stream, terms}: Ends,
  onOver: () => void,
  note: (reason: string) => Promise<unknown>,
): (error: SallyportError) => void {
  const {done, end} = carry({
    ...{channel, stream, running, onOver},
    farewell(error) {
      note(error.message).catch(lost => log.warn({error: problemLine(asProblem(lost))}, 'audit event lost'))
      farewell(channel, error)
    },
  })
  stream.once('close', () => {
    const reason = terms?.ended()
    if (reason) end(reason)
  })
  const watch = watchConnection({
    idleSeconds: options.idleTimeoutSeconds,
    ...(options.disconnectExpiredCert && {expires: identity.validBefore * 1000}),
    now,
    onOver: end,
  })
  if (terms) watch.tighten(terms.idleTimeoutSeconds)
  channel.on('data', watch.touch)
  stream.on('data', watch.touch)
  void done.then(watch.stop)
  return end
}

export interface CarryOptions extends Pick<PassageOptions, 'running'> {
  channel: Channel
  stream: Duplex
  /** The stream is closed. */
  onOver?(): void
  /** Ended from here: says the last word on the channel. Called once. */
  farewell(error: SallyportError): void
}

/** Passes bytes that nobody here can read, until either side ends it or `end` does. */
export function carry({
  channel,
  stream,
  running,
  onOver = () => undefined,
  farewell,
}: CarryOptions): ServedClient {
  let over = false
  const passing = splice(channel, stream, onOver)
  const served: ServedClient = {
    done: passing.ended.then(() => (over ? lastWordsTaken(channel) : undefined)),
    end(error) {
      if (over) return
      over = true
      passing.cut()
      farewell(error)
    },
  }
  running.add(served)
  void served.done.then(() => running.delete(served))
  return served
}

const unseen = (): SallyportError =>
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
  channel.close()
}

interface Passing {
  /** Resolves when the stream is closed. */
  ended: Promise<void>
  /** Cuts them apart at once, and leaves the channel open. */
  cut(): void
}

/** Passes bytes between a channel and a stream until both have ended. */
function splice(channel: Channel, stream: Duplex, onOver: () => void): Passing {
  const ended = new Promise<void>(resolve => {
    if (stream.closed) resolve()
    else stream.once('close', () => resolve())
  })
  channel.stderr.resume()
  const hangUp = (): void => void channel.end(() => channel.close())
  stream.on('close', onOver)
  if (channel.isClosed) {
    stream.destroy()
    return {ended, cut: () => undefined}
  }
  stream.on('close', hangUp)
  channel.onClosed = () => stream.destroy()
  channel.pipe(stream)
  stream.pipe(channel)
  return {
    ended,
    cut() {
      stream.off('close', hangUp)
      stream.destroy()
    },
  }
}
