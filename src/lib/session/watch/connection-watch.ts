import {problem, type SallyportError} from '../../errors/index.js'

/** Node's timers wrap round after 24.8 days, and a machine may sleep: so the clock is looked at at least this often. */
const maxSleepMilliseconds = 60_000

export interface ConnectionWatchOptions {
  /** Seconds without a byte either way after which the connection ends; 0: never. */
  idleSeconds: number
  /** Unix milliseconds at which the connection ends; undefined: never. */
  expires?: number
  /** Unix milliseconds. */
  now: () => number
  /** Milliseconds that no setting of the clock changes; only differences count. */
  monotonic?: () => number
  /** Called once, not in the call that starts the watch, with the reason for the user. */
  onOver(error: SallyportError): void
}

export interface ConnectionWatch {
  /** Bytes passed. Cheap: called for each chunk. */
  touch(): void
  /** No more seconds without a byte than these from now on, if it may be more; 0 changes nothing. */
  tighten(idleSeconds: number): void
  stop(): void
}

/** Ends connections that nobody uses any more, and those whose certificate has expired. */
export function watchConnection(options: ConnectionWatchOptions): ConnectionWatch {
  const {expires = Number.POSITIVE_INFINITY, now, onOver} = options
  const {monotonic = () => performance.now()} = options
  let {idleSeconds} = options
  let stopped = false
  let lastActivity = monotonic()
  let timer: NodeJS.Timeout | undefined

  const over = (error: SallyportError): void => {
    stopped = true
    onOver(error)
  }
  const look = (): void => {
    const untilExpiry = expires - now()
    if (untilExpiry <= 0) return over(expired())
    const patience = idleSeconds > 0 ? idleSeconds * 1000 : Number.POSITIVE_INFINITY
    const untilIdle = lastActivity + patience - monotonic()
    if (untilIdle <= 0) return over(idle(idleSeconds))
    lookAgain(Math.min(untilExpiry, untilIdle, maxSleepMilliseconds))
  }
  const lookAgain = (milliseconds: number): void => {
    timer = setTimeout(look, Math.ceil(milliseconds)).unref()
  }
  const stop = (): void => {
    stopped = true
    clearTimeout(timer)
  }
  lookAgain(0)
  return {
    touch() {
      lastActivity = monotonic()
    },
    tighten(seconds) {
      if (stopped || seconds === 0 || (idleSeconds > 0 && idleSeconds <= seconds)) return
      idleSeconds = seconds
      clearTimeout(timer)
      lookAgain(0)
    },
    stop,
  }
}

const expired = (): SallyportError =>
  problem('certificate_expired', 'your certificate has expired, and with it this connection', {
    hint: 'log in again',
  })

const idle = (seconds: number): SallyportError =>
  problem('timeout', `nothing came or went for ${seconds} s, which is the idle timeout`, {
    hint: 'connect again',
  })
