import type {TerminalSize} from '../channel/requests.js'
import type {RecentOutput} from '../screen/recent-output.js'

/** Where somebody who has joined sits: what is shown there, and how fast it is taken. */
export interface Seat {
  show(text: string): void
  /** Bytes shown that are not on their way yet. */
  readonly waiting: number
  /** Drops those. */
  forget(): void
  /** Called when nothing waits any more. */
  onDrained: (() => void) | undefined
  /** A line from us, beside what is shown. */
  tell(line: string): void
  /** The session has another size; nothing is shown before. */
  resize(size: TerminalSize): void
  /** Nothing more is shown. */
  close(): void
}

/**
 * Everybody who looks at a session. The session itself never waits for them: who takes too little at a time, and
 * everybody while output floods, gets a fresh screen now and then instead of all that came.
 */
export interface Audience {
  add(seat: Seat): void
  remove(seat: Seat): void
  output(chunk: Buffer): void
  resize(size: TerminalSize): void
  close(): void
}

/** More than that is not kept for anybody. */
const mostWaiting = 256 * 1024
/** More output in a while than anybody can read is a flood. */
const floodBytes = 128 * 1024
/** A fresh screen at most so often. */
const screenMilliseconds = 250

export interface AudienceOptions {
  recent: RecentOutput
  /** Undefined: no terminal. */
  size: TerminalSize | undefined
  /** Milliseconds; only differences count. */
  monotonic: () => number
  onProblem(error: unknown): void
}

export function createAudience(options: AudienceOptions): Audience {
  const {recent, monotonic, onProblem} = options
  /** Whether what comes is shown there, or a fresh screen has to come first. */
  const seats = new Map<Seat, 'live' | 'behind'>()
  let live = 0
  let {size} = options
  let timer: NodeJS.Timeout | undefined
  let drawing = false
  let drawn = Number.NEGATIVE_INFINITY
  let windowBegan = Number.NEGATIVE_INFINITY
  let windowBytes = 0

  const set = (seat: Seat, state: 'live' | 'behind'): void => {
    const before = seats.get(seat)
    if (before === state) return
    seats.set(seat, state)
    live += state === 'live' ? 1 : before === 'live' ? -1 : 0
  }
  const fallBehind = (seat: Seat): void => {
    set(seat, 'behind')
    schedule()
  }
  const schedule = (): void => {
    if (drawing || timer) return
    timer = setTimeout(refresh, Math.max(0, drawn + screenMilliseconds - monotonic())).unref()
  }
  const waitsForScreen = (): Seat[] =>
    [...seats].filter(([seat, state]) => state === 'behind' && seat.waiting === 0).map(([seat]) => seat)

  const refresh = (): void => {
    timer = undefined
    if (waitsForScreen().length === 0) return
    drawing = true
    recent
      .screen()
      .then(text => {
        for (const seat of waitsForScreen()) {
          set(seat, 'live')
          seat.show(text)
        }
      })
      .catch(onProblem)
      .finally(() => {
        drawing = false
        drawn = monotonic()
        if (waitsForScreen().length > 0) schedule()
      })
  }
  const floods = (bytes: number): boolean => {
    if (monotonic() - windowBegan >= screenMilliseconds) {
      windowBegan = monotonic()
      windowBytes = 0
    }
    windowBytes += bytes
    return windowBytes > floodBytes
  }
  return {
    add(seat) {
      seat.onDrained = () => {
        if (seats.get(seat) === 'behind') schedule()
      }
      if (size) seat.resize(size)
      fallBehind(seat)
    },
    remove(seat) {
      if (seats.get(seat) === 'live') live -= 1
      seats.delete(seat)
      seat.onDrained = undefined
    },
    output(chunk) {
      if (live > 0 && floods(chunk.length))
        for (const [seat, state] of seats) if (state === 'live') fallBehind(seat)
      if (live === 0) return recent.keep(chunk)
      const text = recent.pass(chunk)
      if (text === '') return
      for (const [seat, state] of seats) {
        if (state !== 'live') continue
        seat.show(text)
        if (seat.waiting <= mostWaiting) continue
        seat.forget()
        fallBehind(seat)
      }
    },
    resize(changed) {
      if (!size) return
      size = changed
      recent.resize(size)
      for (const seat of seats.keys()) {
        seat.resize(size)
        fallBehind(seat)
      }
    },
    close() {
      clearTimeout(timer)
      for (const seat of seats.keys()) seat.onDrained = undefined
      seats.clear()
      live = 0
    },
  }
}
