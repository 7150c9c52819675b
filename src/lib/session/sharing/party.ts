import {type JoinMode, judgeOversight, type Oversight} from '../../access/index.js'
import type {AuditInput} from '../../audit/event.js'
import type {AuthApi, SessionTracker} from '../../auth/contract.js'
import {problem, type SallyportError} from '../../errors/index.js'
import type {TerminalSize} from '../channel/requests.js'
import type {SessionFacts, SessionStart} from '../record.js'
import {createRecentOutput} from '../screen/recent-output.js'
import {type Audience, createAudience, type Seat} from './audience.js'
import {keepTracker} from './tracker.js'

export type PartyAuth = Pick<AuthApi, 'emit' | 'upsertTracker' | 'removeTracker'>

/** What may be done with a session from outside. */
export interface SessionControls {
  /** Types into it. The promise asks whoever types to wait. */
  input(data: Buffer): Promise<void> | undefined
  /** A line for whose session it is, beside its output. */
  tell(line: string): void
  end(error: SallyportError): void
}

/** A session that others may join. */
export interface HostedSession {
  /** Looked at when the session begins, and afterwards: what is known by then counts. */
  facts: SessionFacts
  /** The user's roles. */
  roles: readonly string[]
  oversight: Oversight
  /** Where it is recorded; default: proxy. */
  place?: 'proxy' | 'node' | 'off'
  controls: SessionControls
}

export interface PartyOptions extends HostedSession {
  auth: PartyAuth
  /** UUID of this machine. */
  heldBy: string
  /** Its name. */
  holder: string
  /** Unix ms. */
  now: () => number
  monotonic: () => number
  mayDraw(bytes: number): boolean
  guestId: () => string
  onProblem(error: unknown): void
  /** From here on it can be found by those who want to join. */
  onOpen(party: Party): void
  onClosed(): void
}

/** Somebody who joins. */
export interface Joiner {
  user: string
  /** In force. */
  roles: readonly string[]
  mode: JoinMode
  /** `ip:port`. */
  address: string
  seat: Seat
}

export interface Guest {
  readonly id: string
  /** What they typed. The promise asks them to wait. */
  input(data: Buffer): Promise<void> | undefined
  /** Resolves when that is on record. */
  leave(): Promise<void>
}

/** A session that runs, those who have joined it, and what the cluster knows of it. */
export interface Party {
  /** Resolves when the cluster knows of the session. Called once, before anything else. */
  open(start: SessionStart): Promise<void>
  /** Resolves when enough people look on for the session to go on. Throws `cancelled` when it is over first. */
  ready(): Promise<void>
  /** Nobody types while it is so. */
  readonly paused: boolean
  /** After it was recorded. The promise asks the relay to wait. */
  output(chunk: Buffer): Promise<void> | undefined
  resize(size: TerminalSize): void
  /** @throws limit_exceeded, not_found for a session that is over, and what the audit log says */
  join(joiner: Joiner): Promise<Guest>
  /** Has the session end, and its user told by whom. */
  end(by: string, reason?: string): void
  /** Says again that the session is there. */
  renew(): void
  /** Shows everybody out; resolves when that is on record. */
  disperse(): Promise<void>
  /** What the end of the session says of those who took part. */
  endFields(): Record<string, unknown>
  /** Resolves when the cluster knows that the session is over. Idempotent. */
  close(): Promise<void>
}

/** More than can mean anything to whose session it is. */
const mostGuests = 32
const ctrlC = 0x03
const endKey = 't'.charCodeAt(0)

interface Member {
  id: string
  joiner: Joiner
  joined: number
  lastActive: number
  typed: number
  /** Their coming is on record. */
  here: boolean
  gone: Promise<void> | undefined
}

export function createParty(options: PartyOptions): Party {
  const {facts, controls, auth, oversight, now, monotonic, mayDraw, guestId, onProblem} = options
  const members = new Set<Member>()
  const everybody = new Set<string>()
  const arriving = new Set<Promise<unknown>>()
  let audience: Audience | undefined
  let tracker: ReturnType<typeof keepTracker> | undefined
  let started: Pick<SessionTracker, 'interactive' | 'command' | 'started'> | undefined
  let state: SessionTracker['state'] = 'pending'
  let ended: {by: string; reason?: string} | undefined
  let hold = latch()

  const here = (): Member[] => [...members].filter(member => member.here)
  const verdict = () =>
    judgeOversight(
      oversight,
      facts.user,
      here().map(({joiner}) => joiner),
    )
  const waitsFor = (): string | undefined => {
    const judged = verdict()
    return judged.met ? undefined : judged.missing
  }
  const describe = (): SessionTracker => {
    const missing = waitsFor()
    return {
      ...{
        sid: facts.sid,
        kind: 'ssh',
        state,
        user: facts.user,
        roles: [...options.roles],
        login: facts.login,
      },
      ...{host: facts.server_hostname, address: facts.server_addr},
      ...(facts.server_id !== undefined && {hostId: facts.server_id}),
      ...{heldBy: options.heldBy, holder: options.holder},
      ...(started ?? {interactive: false, started: now()}),
      participants: here().map(({id, joiner, joined, lastActive}) => ({
        ...{id, user: joiner.user, mode: joiner.mode, joined, lastActive},
      })),
      ...(missing === undefined ? {} : {waitsFor: missing}),
    }
  }
  const emit = (event: AuditInput['event'], {id, joiner, typed}: Member) =>
    auth.emit({
      ...{...facts, event, user: joiner.user, 'addr.remote': joiner.address, proto: 'ssh'},
      fields: {
        ...{
          participant_id: id,
          mode: joiner.mode,
          owner: facts.user,
          session_recording: options.place ?? 'proxy',
        },
        ...(event === 'session.leave' && {typed}),
      },
    })
  const tellAll = (line: string): void => {
    controls.tell(line)
    for (const {joiner} of here()) joiner.seat.tell(line)
  }
  /** Looks whether the session may go on as it is. */
  const review = (): void => {
    const judged = verdict()
    if (state === 'terminated') return
    if (judged.met) {
      if (hold.closed && state === 'running') tellAll('the session goes on')
      state = 'running'
      hold.open()
    } else if (state === 'running' && judged.onLeave === 'terminate') {
      state = 'terminated'
      controls.end(tooFew(judged.missing))
    } else if (state === 'running' && !hold.closed) {
      hold = latch()
      tellAll(`the session is paused until there is ${judged.missing}`)
    }
  }
  const leave = (member: Member): Promise<void> => {
    member.gone ??= (async () => {
      const {user, mode, seat} = member.joiner
      members.delete(member)
      audience?.remove(seat)
      seat.close()
      if (state !== 'terminated') tellAll(`${user}, who joined as ${mode}, has left`)
      review()
      tracker?.update()
      await emit('session.leave', member).then(() => undefined, onProblem)
    })()
    return member.gone
  }
  const end = (by: string, reason?: string): void => {
    if (ended || state === 'terminated') return
    ended = {by, ...(reason !== undefined && {reason})}
    state = 'terminated'
    const error = endedBy(by, reason)
    for (const {joiner} of members) joiner.seat.tell(error.message)
    auth
      .emit({...facts, event: 'client.disconnect', proto: 'ssh', fields: {reason: error.message, by}})
      .catch(onProblem)
    controls.end(error)
  }
  const input = (member: Member, data: Buffer): Promise<void> | undefined => {
    member.lastActive = now()
    const {mode, user} = member.joiner
    if (mode === 'peer') {
      if (hold.closed || state !== 'running') return undefined
      member.typed += data.length
      return controls.input(data)
    }
    if (mode === 'moderator' && data.length === 1 && data[0] === endKey) end(user)
    else if (data.includes(ctrlC)) void leave(member)
    return undefined
  }

  const party: Party = {
    async open({interactive, command, size}) {
      started = {interactive, started: now(), ...(command !== undefined && {command: command.slice(0, 1000)})}
      const recent = createRecentOutput({size, monotonic, mayDraw})
      audience = createAudience({recent, size, monotonic, onProblem})
      options.onOpen(party)
      review()
      tracker = keepTracker({auth, sid: facts.sid, describe, onProblem})
      const known = await tracker.update()
      if (!known && hold.closed)
        throw problem('unavailable', 'nobody can be told that this session waits for them', {
          hint: 'try again in a moment',
        })
    },
    async ready() {
      if (hold.closed) controls.tell(`the session ${facts.sid} begins when there is ${waitsFor()}`)
      await hold.opened
      if (state !== 'running') throw problem('cancelled', 'the session ended before it began')
    },
    get paused() {
      // What never opens, such as a transfer of files, is nobody's to pause.
      return started !== undefined && hold.closed
    },
    output(chunk) {
      try {
        audience?.output(chunk)
      } catch (error) {
        // Looking on must not hurt the session.
        onProblem(error)
        audience?.close()
        audience = undefined
      }
      return hold.closed ? hold.opened : undefined
    },
    resize: size => audience?.resize(size),
    async join(joiner) {
      const open = audience
      if (!open || state === 'terminated') throw over()
      if (members.size >= mostGuests)
        throw problem('limit_exceeded', `${mostGuests} people have joined this session already`)
      const time = now()
      const member: Member = {
        ...{id: guestId(), joiner, joined: time, lastActive: time, typed: 0},
        here: false,
        gone: undefined,
      }
      members.add(member)
      const recorded = emit('session.join', member)
      arriving.add(recorded)
      try {
        await recorded
      } catch (error) {
        members.delete(member)
        throw error
      } finally {
        arriving.delete(recorded)
      }
      member.here = true
      everybody.add(joiner.user)
      if (state === ('terminated' as SessionTracker['state'])) {
        await leave(member)
        throw over()
      }
      tellAll(`${joiner.user} has joined as ${joiner.mode}`)
      open.add(joiner.seat)
      review()
      tracker?.update()
      return {id: member.id, input: data => input(member, data), leave: () => leave(member)}
    },
    end,
    renew: () => void tracker?.update(),
    async disperse() {
      state = 'terminated'
      hold.open()
      for (const {joiner} of here()) joiner.seat.tell('the session has ended')
      await Promise.allSettled(arriving)
      await Promise.all([...members].map(leave))
    },
    endFields: () => ({
      participants: [facts.user, ...[...everybody].filter(user => user !== facts.user)],
      ...(ended && {ended_by: ended.by, ...(ended.reason !== undefined && {reason: ended.reason})}),
    }),
    async close() {
      state = 'terminated'
      hold.open()
      audience?.close()
      options.onClosed()
      await tracker?.remove()
    },
  }
  return party
}

/** Something to wait for. */
function latch(): {readonly closed: boolean; opened: Promise<void>; open(): void} {
  let closed = true
  let resolve = (): void => undefined
  const opened = new Promise<void>(done => {
    resolve = done
  })
  return {
    get closed() {
      return closed
    },
    opened,
    open() {
      closed = false
      resolve()
    },
  }
}

const over = (): SallyportError => problem('not_found', 'the session is over')

const tooFew = (missing: string): SallyportError =>
  problem('access_denied', `this session may not go on without ${missing}`)

const endedBy = (by: string, reason: string | undefined): SallyportError =>
  problem('cancelled', `${by} has ended this session${reason === undefined ? '' : `: ${reason}`}`)
