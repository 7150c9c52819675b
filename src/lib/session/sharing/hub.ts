import {randomUUID} from 'node:crypto'
import type {AuthApi} from '../../auth/contract.js'
import {asProblem, problemLine} from '../../errors/index.js'
import type {Log} from '../types.js'
import {followState} from '../watch/follow.js'
import {createParty, type HostedSession, type Party, type PartyAuth} from './party.js'

export type HubAuth = PartyAuth & Pick<AuthApi, 'dropTrackers' | 'watchEndings'>

export interface HubOptions {
  auth: HubAuth
  /** UUID of this machine. */
  heldBy: string
  /** Its name. */
  holder: string
  log: Log
  /** Unix ms. */
  now: () => number
  /** Milliseconds that no setting of the clock changes; only differences count. */
  monotonic?: () => number
}

/** The sessions that this process holds, for those who want to join or end them. */
export interface SessionHub {
  host(session: HostedSession): Party
  find(sid: string): Party | undefined
  close(): Promise<void>
}

/** A third of the time after which a session that nobody speaks of is forgotten. */
const renewMilliseconds = 10 * 60_000
/** Drawing screens of sessions that nobody may even look at takes at most a few percent of a processor. */
const drawnBytesPerSecond = 512 * 1024

/** Resolves when sessions of an earlier process are forgotten; that they cannot be is logged. */
export async function startSessionHub(options: HubOptions): Promise<SessionHub> {
  const {auth, heldBy, holder, log, now, monotonic = () => performance.now()} = options
  const parties = new Map<string, Party>()
  const stop = new AbortController()
  const warn =
    (message: string, fields: object = {}) =>
    (error: unknown) =>
      log.warn({...fields, error: problemLine(asProblem(error))}, message)
  const mayDraw = drawingBudget(monotonic)

  /** The auth service does not know what is true here. */
  let isBehind = false
  let areForgotten = false
  const forgetOthers = async (): Promise<void> => {
    if (areForgotten) return
    await auth.dropTrackers(heldBy)
    areForgotten = true
  }
  const catchUp = async (): Promise<void> => {
    isBehind = false
    await forgetOthers().catch(notForgotten)
    for (const party of parties.values()) party.renew()
  }
  const notForgotten = (error: unknown): void => {
    isBehind = true
    warn('sessions of an earlier process are not forgotten')(error)
  }
  await forgetOthers().catch(notForgotten)
  const following = followState({
    watch: request => auth.watchEndings(request),
    onState(endings) {
      if (isBehind) void catchUp()
      for (const {sid, by, reason} of endings) parties.get(sid)?.end(by, reason)
    },
    onBlind(error) {
      isBehind = true
      warn('sessions cannot be ended from elsewhere for a while')(error)
    },
    signal: stop.signal,
  })
  const timer = setInterval(() => {
    for (const party of parties.values()) party.renew()
  }, renewMilliseconds).unref()

  return {
    host(session) {
      const {facts} = session
      return createParty({
        ...{...session, auth, heldBy, holder, now, monotonic, mayDraw},
        guestId: randomUUID,
        onProblem: error => warn('who looks on at a session may be wrong', {sid: facts.sid})(error),
        onOpen: party => void parties.set(facts.sid, party),
        onClosed: () => void parties.delete(facts.sid),
      })
    },
    find: sid => parties.get(sid),
    async close() {
      stop.abort()
      clearInterval(timer)
      await following
    },
  }
}

/** A second's worth may be saved up. */
function drawingBudget(monotonic: () => number): (bytes: number) => boolean {
  let left = drawnBytesPerSecond
  let since = monotonic()
  return bytes => {
    const time = monotonic()
    left = Math.min(drawnBytesPerSecond, left + ((time - since) / 1000) * drawnBytesPerSecond)
    since = time
    if (left < bytes) return false
    left -= bytes
    return true
  }
}
