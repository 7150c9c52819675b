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
  requirePin,
  type ServedClient,
  watchConnection,
} from '../session/index.js'
import type {Channel, HostKeyReader} from '../ssh/index.js'
import {carry} from './carry.js'
import {provesNode, shown} from './node-proof.js'

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
