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
  relay,
  requirePin,
  type ServedClient,
  watchConnection,
} from '../session/index.js'
import type {Channel, HostKeyReader} from '../ssh/index.js'
import {provesNode} from './node-proof.js'

export interface PassageOptions {
  guard: ConnectionGuard
  /** Everything that a proxy on its way out waits for. */
  running: Set<ServedClient>
  /** Who goes there, by the roles that count here. */
  identity: Identity
  /** Absent where only client and host see it: then it may be any of the certificate. */
  login?: string
  target: Target
  /** The certificate is good from the client's address alone. */
  pinned: boolean
  /** What those roles say. */
  options: SessionOptions
  /** What the event about the connection says besides. */
  fields: Record<string, unknown>
  emit(input: AuditInput): Promise<unknown>
  openChannel(): Channel
  /** How nodes prove that it is they who answer; undefined where nobody has to. */
  hostAuthorities: (() => Promise<readonly Buffer[]>) | undefined
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
  if (options.oversight && !seesToIt(passage)) throw unseen()
  if (options.requireSessionMfa && !seesToIt(passage)) throw unasked()
  requirePin(options, passage.pinned)
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
    const proof = await proofOf(passage)
    const dialled = await guardedTarget(target, () => place).dial(login)
    stream = dialled.stream
    const server = {...serverFacts(target), server_addr: dialled.address}
    const facts = {...server, ...(login !== undefined && {login})}
    await emit({event: 'session.connect', ...facts, fields: passage.fields})
    if (over) throw over
    if (stream.destroyed) throw hungUp(target)
    const ends = {channel: passage.openChannel(), stream, terms: dialled.terms, proof}
    end = pass(passage, ends, place.leave, reason =>
      emit({event: 'client.disconnect', ...facts, fields: {...passage.fields, reason}}),
    )
  } catch (error) {
    place.leave()
    stream?.destroy()
    throw error
  }
}

/**
 * A node of ours, proven to be it, sees to it itself that somebody looks on at the sessions of our users, and asks for what
 * they have to show.
 */
const seesToIt = ({target: {registered}, login, hostAuthorities}: PassageOptions): boolean =>
  registered?.subKind === 'node' && login === undefined && hostAuthorities !== undefined

interface Ends {
  channel: Channel
  stream: Duplex
  terms: Awaited<ReturnType<Target['dial']>>['terms']
  proof: HostKeyReader | undefined
}

async function proofOf({target, hostAuthorities, now}: PassageOptions): Promise<HostKeyReader | undefined> {
  const {registered} = target
  if (registered?.subKind !== 'node' || !hostAuthorities) return undefined
  return provesNode(registered, {authorities: await hostAuthorities(), now})
}

/** Returns what ends it, and says why. */
function pass(
  {identity, options, running, log, now, farewell}: PassageOptions,
  {channel, stream, terms, proof}: Ends,
  onOver: () => void,
  note: (reason: string) => Promise<unknown>,
): (error: SallyportError) => void {
  const readAlong = proof && shown(proof, error => end(error))
  const {done, end} = carry({
    ...{channel, stream, running, onOver},
    onBytes(fromStream) {
      watch.touch()
      if (fromStream) readAlong?.(fromStream)
    },
    onEnd() {
      const reason = terms?.ended()
      if (reason) end(reason)
    },
    farewell(error) {
      // On record first: whoever is told may look for it at once.
      void note(error.message)
        .catch(lost => log.warn({error: problemLine(asProblem(lost))}, 'audit event lost'))
        .then(() => farewell(channel, error))
    },
  })
  const watch = watchConnection({
    idleSeconds: options.idleTimeoutSeconds,
    ...(options.disconnectExpiredCert && {expires: identity.validBefore * 1000}),
    now,
    onOver: end,
  })
  if (terms) watch.tighten(terms.idleTimeoutSeconds)
  void done.then(watch.stop)
  return end
}

/** Shows the proof what the server sends, until it has seen enough. */
export function shown(
  proof: HostKeyReader,
  refuse: (error: SallyportError) => void,
): (chunk: Buffer) => void {
  let over = false
  return chunk => {
    if (over) return
    try {
      over = proof.read(chunk)
    } catch (error) {
      over = true
      refuse(asProblem(error))
    }
  }
}

export interface CarryOptions extends Pick<PassageOptions, 'running'> {
  channel: Channel
  stream: Duplex
  /** Before bytes are passed on, either way: told which, where they come from the stream. They are lent. */
  onBytes?(fromStream: Buffer | undefined): void
  /** The stream says no more. The channel is not told so yet: after that nothing can be said on it. */
  onEnd?(): void
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
  onBytes = () => undefined,
  onEnd = () => undefined,
  onOver = () => undefined,
  farewell,
}: CarryOptions): ServedClient {
  let over = false
  const passing = splice(channel, stream, {onBytes, onEnd, onOver})
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

const unasked = (): SallyportError =>
  problem(
    'access_denied',
    'your sessions need a second factor, and nobody on the way to this host can ask for it',
    {hint: 'proxies that record ask (session_recording: proxy), and so do nodes of their own cluster'},
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
function splice(
  channel: Channel,
  stream: Duplex,
  {onBytes, onEnd, onOver}: Required<Pick<CarryOptions, 'onBytes' | 'onEnd' | 'onOver'>>,
): Passing {
  const ended = new Promise<void>(resolve => {
    if (stream.closed) resolve()
    else stream.once('close', () => resolve())
  })
  channel.stderr.resume()
  let apart = false
  const tellEnd = (told?: () => void): void => {
    onEnd()
    if (!apart) channel.end(told)
  }
  const hangUp = (): void => tellEnd(() => channel.close())
  stream.on('close', onOver)
  if (channel.isClosed) {
    stream.destroy()
    return {ended, cut: () => undefined}
  }
  stream.on('close', hangUp)
  channel.onClosed = () => stream.destroy()
  /** Nothing that a server says passes any more once it was refused. */
  const look = (fromStream?: Buffer): false | undefined => {
    onBytes(fromStream)
    return apart ? false : undefined
  }
  void relay(channel, stream, () => look()).then(() => stream.end())
  void relay(stream, channel, look).then(() => tellEnd())
  return {
    ended,
    cut() {
      apart = true
      stream.off('close', hangUp)
      stream.destroy()
    },
  }
}
