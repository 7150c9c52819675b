import {judgeOversight, type Oversight} from '../../access/index.js'
import type {AuthApi, SessionTracker} from '../../auth/contract.js'
import {problem, type SallyportError} from '../../errors/index.js'
import type {TerminalSize} from '../channel/requests.js'
import type {SessionFacts, SessionStart} from '../record.js'
import {createRecentOutput} from '../screen/recent-output.js'
import {type Audience, createAudience} from './audience.js'
import {createMembers, type Joiner, type Member} from './members.js'
import {createSessionGate} from './session-gate.js'
import {keepTracker} from './tracker.js'
import {trackerFacts} from './tracker-facts.js'

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

const ctrlC = 0x03
const endKey = 't'.charCodeAt(0)

export function createParty(options: PartyOptions): Party {
  const {facts, controls, auth, oversight, now, monotonic, mayDraw, onProblem} = options
  const members = createMembers(options)
  let audience: Audience | undefined
  let tracker: ReturnType<typeof keepTracker> | undefined
  let started: Pick<SessionTracker, 'interactive' | 'command' | 'started'> | undefined
  let ended: {by: string; reason?: string} | undefined

  const tellAll = (line: string): void => {
    controls.tell(line)
    for (const {joiner} of members.here()) joiner.seat.tell(line)
  }
  const gate = createSessionGate({
    verdict: () =>
      judgeOversight(
        oversight,
        facts.user,
        members.here().map(({joiner}) => joiner),
      ),
    tellAll,
    onTooFew: missing => controls.end(tooFew(missing)),
  })
  const describe = (): SessionTracker => {
    const waitsFor = gate.waitsFor()
    return trackerFacts(options, {
      ...{state: gate.state, members: members.here()},
      started: started ?? {interactive: false, started: now()},
      ...(waitsFor !== undefined && {waitsFor}),
    })
  }
  const changed = (): void => {
    gate.review()
    void tracker?.update()
  }
  const showOut = async (member: Member): Promise<void> => {
    const {user, mode, seat} = member.joiner
    members.remove(member)
    audience?.remove(seat)
    seat.close()
    if (!gate.isOver()) tellAll(`${user}, who joined as ${mode}, has left`)
    changed()
    await members.recordLeave(member).then(() => undefined, onProblem)
  }
  const leave = (member: Member): Promise<void> => {
    member.gone ??= showOut(member)
    return member.gone
  }
  const end = (by: string, reason?: string): void => {
    if (ended || gate.isOver()) return
    ended = {by, ...(reason !== undefined && {reason})}
    gate.terminate()
    const error = endedBy(by, reason)
    for (const {joiner} of members.all()) joiner.seat.tell(error.message)
    auth
      .emit({...facts, event: 'client.disconnect', proto: 'ssh', fields: {reason: error.message, by}})
      .catch(onProblem)
    controls.end(error)
  }
  const input = (member: Member, data: Buffer): Promise<void> | undefined => {
    member.lastActive = now()
    const {mode, user} = member.joiner
    if (mode === 'peer') {
      if (gate.isClosed || !gate.isRunning()) return undefined
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
      gate.review()
      tracker = keepTracker({auth, sid: facts.sid, describe, onProblem})
      const known = await tracker.update()
      if (!known && gate.isClosed)
        throw problem('unavailable', 'nobody can be told that this session waits for them', {
          hint: 'try again in a moment',
        })
    },
    async ready() {
      if (gate.isClosed) controls.tell(`the session ${facts.sid} begins when there is ${gate.waitsFor()}`)
      await gate.opened
      if (!gate.isRunning()) throw problem('cancelled', 'the session ended before it began')
    },
    get paused() {
      // What never opens, such as a transfer of files, is nobody's to pause.
      return started !== undefined && gate.isClosed
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
      return gate.isClosed ? gate.opened : undefined
    },
    resize: size => audience?.resize(size),
    async join(joiner) {
      const open = audience
      if (!open || gate.isOver()) throw over()
      const member = await members.enter(joiner)
      // It may have ended while that was put on record.
      if (gate.isOver()) {
        await leave(member)
        throw over()
      }
      tellAll(`${joiner.user} has joined as ${joiner.mode}`)
      open.add(joiner.seat)
      changed()
      return {id: member.id, input: data => input(member, data), leave: () => leave(member)}
    },
    end,
    renew: () => void tracker?.update(),
    async disperse() {
      gate.release()
      for (const {joiner} of members.here()) joiner.seat.tell('the session has ended')
      await members.settled()
      await Promise.all(members.all().map(leave))
    },
    endFields: () => ({
      participants: [facts.user, ...members.everybody().filter(user => user !== facts.user)],
      ...(ended && {ended_by: ended.by, ...(ended.reason !== undefined && {reason: ended.reason})}),
    }),
    async close() {
      gate.release()
      audience?.close()
      options.onClosed()
      await tracker?.remove()
    },
  }
  return party
}

const over = (): SallyportError => problem('not_found', 'the session is over')

const tooFew = (missing: string): SallyportError =>
  problem('access_denied', `this session may not go on without ${missing}`)

const endedBy = (by: string, reason: string | undefined): SallyportError =>
  problem('cancelled', `${by} has ended this session${reason === undefined ? '' : `: ${reason}`}`)
