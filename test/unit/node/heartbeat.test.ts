import {afterEach, beforeEach, describe, expect, test, vi} from 'vitest'
import type {HostRecord} from '../../../src/lib/access/hosts.js'
import {heartbeatPause, startHeartbeat} from '../../../src/lib/node/heartbeat.js'

const minute = 60_000
const record = (): HostRecord => ({id: 'a', subKind: 'node', hostname: 'db1', labels: {}})

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

describe('heartbeats', () => {
  test('come every half of the TTL and up to a tenth more', () => {
    expect(heartbeatPause(0)).toBe(5 * minute)
    expect(heartbeatPause(0.999999)).toBeCloseTo(6 * minute, -2)
  })

  test('come at once and then again, until they are stopped', async () => {
    const heartbeat = vi.fn(async () => undefined)
    const onBeat = vi.fn(async () => undefined)
    const log = {warn: vi.fn(), info: vi.fn()}
    const beating = await startHeartbeat({auth: {heartbeat}, record, onBeat, log, random: () => 0.5})
    expect(heartbeat).toHaveBeenCalledWith(record())
    await vi.advanceTimersByTimeAsync(5.5 * minute)
    expect(heartbeat).toHaveBeenCalledTimes(2)
    expect(onBeat).toHaveBeenCalledTimes(2)
    beating.close()
    await vi.advanceTimersByTimeAsync(60 * minute)
    expect(heartbeat).toHaveBeenCalledTimes(2)
  })

  test('that do not get through are tried again soon, and do not keep the node from starting', async () => {
    const heartbeat = vi.fn(async () => undefined)
    heartbeat.mockRejectedValueOnce(new Error('away'))
    const log = {warn: vi.fn(), info: vi.fn()}
    const onBeat = vi.fn(async () => undefined)
    const beating = await startHeartbeat({auth: {heartbeat}, record, onBeat, log, random: () => 0})
    expect(log.warn).toHaveBeenCalledTimes(1)
    expect(onBeat).not.toHaveBeenCalled()
    await vi.advanceTimersByTimeAsync(15_000)
    expect(heartbeat).toHaveBeenCalledTimes(2)
    expect(onBeat).toHaveBeenCalledTimes(1)
    beating.close()
  })
})
