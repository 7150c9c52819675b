import {afterEach, beforeEach, describe, expect, it, vi} from 'vitest'
import {
  type ConnectionWatchOptions,
  watchConnection,
} from '../../../../src/lib/session/watch/connection-watch.js'

beforeEach(() => vi.useFakeTimers())
afterEach(() => vi.useRealTimers())

const watch = (options: Partial<ConnectionWatchOptions> = {}) => {
  const onOver = vi.fn()
  return {
    onOver,
    ...watchConnection({idleSeconds: 0, now: Date.now, onOver, monotonic: performance.now, ...options}),
  }
}

describe('watching a connection', () => {
  it('ends it after so many seconds without a byte, once', () => {
    const {onOver} = watch({idleSeconds: 90})
    vi.advanceTimersByTime(89_999)
    expect(onOver).not.toHaveBeenCalled()
    vi.advanceTimersByTime(2)
    expect(onOver).toHaveBeenCalledExactlyOnceWith(expect.objectContaining({code: 'timeout'}))
    vi.advanceTimersByTime(1_000_000)
    expect(onOver).toHaveBeenCalledOnce()
  })

  it('counts from the last byte', () => {
    const {onOver, touch} = watch({idleSeconds: 10})
    for (let n = 0; n < 100; n++) {
      vi.advanceTimersByTime(9000)
      touch()
    }
    expect(onOver).not.toHaveBeenCalled()
    vi.advanceTimersByTime(10_001)
    expect(onOver).toHaveBeenCalledOnce()
  })

  it('ends it with the certificate, however busy it is', () => {
    const {onOver, touch} = watch({expires: Date.now() + 600_000, idleSeconds: 0})
    for (let n = 0; n < 599; n++) {
      vi.advanceTimersByTime(1000)
      touch()
    }
    expect(onOver).not.toHaveBeenCalled()
    vi.advanceTimersByTime(1000)
    expect(onOver).toHaveBeenCalledExactlyOnceWith(expect.objectContaining({code: 'certificate_expired'}))
  })

  it('waits months where timers last weeks', () => {
    const days = 24 * 3_600_000
    const {onOver} = watch({expires: Date.now() + 60 * days})
    vi.advanceTimersByTime(59 * days)
    expect(onOver).not.toHaveBeenCalled()
    vi.advanceTimersByTime(days)
    expect(onOver).toHaveBeenCalledOnce()
  })

  it('notices within a minute that the clock was set forward past the expiry', () => {
    const {onOver} = watch({expires: Date.now() + 7_200_000})
    vi.advanceTimersByTime(1)
    vi.setSystemTime(Date.now() + 7_200_000)
    vi.advanceTimersByTime(60_000)
    expect(onOver).toHaveBeenCalledOnce()
  })

  it('does not take a clock that is set for idleness', () => {
    const {onOver} = watch({idleSeconds: 600})
    vi.setSystemTime(Date.now() + 3_600_000)
    vi.advanceTimersByTime(60_000)
    vi.setSystemTime(Date.now() - 7_200_000)
    vi.advanceTimersByTime(60_000)
    expect(onOver).not.toHaveBeenCalled()
    vi.advanceTimersByTime(600_000)
    expect(onOver).toHaveBeenCalledOnce()
  })

  it('can be made stricter while it runs, and never milder', () => {
    const none = watch()
    none.tighten(10)
    none.tighten(0)
    none.tighten(60)
    const strict = watch({idleSeconds: 5})
    strict.tighten(10)
    const stopped = watch({idleSeconds: 0})
    stopped.stop()
    stopped.tighten(1)
    vi.advanceTimersByTime(5001)
    expect(strict.onOver).toHaveBeenCalledOnce()
    expect(none.onOver).not.toHaveBeenCalled()
    vi.advanceTimersByTime(5000)
    expect(none.onOver).toHaveBeenCalledExactlyOnceWith(expect.objectContaining({code: 'timeout'}))
    none.tighten(1)
    vi.advanceTimersByTime(5000)
    expect(none.onOver).toHaveBeenCalledOnce()
    expect(stopped.onOver).not.toHaveBeenCalled()
  })

  it('does nothing without limits, and nothing once stopped', () => {
    const free = watch()
    const stopped = watch({idleSeconds: 1, expires: Date.now() + 1000})
    stopped.stop()
    vi.advanceTimersByTime(10_000_000)
    expect(free.onOver).not.toHaveBeenCalled()
    expect(stopped.onOver).not.toHaveBeenCalled()
  })
})
