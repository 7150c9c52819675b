import type {judgeOversight} from '../../access/index.js'
import type {SessionTracker} from '../../auth/contract.js'

export interface SessionGateOptions {
  /** Whether enough people look on now. */
  verdict(): ReturnType<typeof judgeOversight>
  /** A line for everybody who is there. */
  tellAll(line: string): void
  /** Somebody has left without whom the session may not go on: it has to end. */
  onTooFew(missing: string): void
}

/** Whether a session may go on: it waits for who has to look on, and where they leave it pauses or ends. */
export interface SessionGate {
  readonly state: SessionTracker['state']
  isRunning(): boolean
  isOver(): boolean
  /** Nothing passes. */
  readonly isClosed: boolean
  /** Resolves when it passes again, or when the session is over. */
  readonly opened: Promise<void>
  /** Who has to come; undefined where nobody has to. */
  waitsFor(): string | undefined
  /** Looks whether the session may go on as it is. */
  review(): void
  /** The session is over: it is never looked at again. */
  terminate(): void
  /** The same, and whoever waits learns of it. */
  release(): void
}

export function createSessionGate({verdict, tellAll, onTooFew}: SessionGateOptions): SessionGate {
  let state: SessionTracker['state'] = 'pending'
  let hold = latch()

  const isOver = (): boolean => state === 'terminated'
  const terminate = (): void => {
    state = 'terminated'
  }
  return {
    get state() {
      return state
    },
    get isClosed() {
      return hold.closed
    },
    get opened() {
      return hold.opened
    },
    isRunning: () => state === 'running',
    isOver,
    waitsFor() {
      const judged = verdict()
      return judged.met ? undefined : judged.missing
    },
    review() {
      if (isOver()) return
      const judged = verdict()
      if (judged.met) {
        if (hold.closed && state === 'running') tellAll('the session goes on')
        state = 'running'
        hold.open()
      } else if (state === 'running' && judged.onLeave === 'terminate') {
        terminate()
        onTooFew(judged.missing)
      } else if (state === 'running' && !hold.closed) {
        hold = latch()
        tellAll(`the session is paused until there is ${judged.missing}`)
      }
    },
    terminate,
    release() {
      terminate()
      hold.open()
    },
  }
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
