import {afterEach, beforeEach, expect, test, vi} from 'vitest'
import {within} from '../../../src/lib/waiting/index.js'

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

const never = new Promise<never>(() => undefined)

test('what comes in time is the answer, and nothing is left of the limit', async () => {
  expect(await within(1000, Promise.resolve('done'), () => 'late')).toBe('done')
  await expect(within(1000, Promise.reject(new Error('no')), () => 'late')).rejects.toThrow('no')
  expect(vi.getTimerCount()).toBe(0)
})

test('after the limit, and not before, it is what was meant for then', async () => {
  const answer = within(1000, never, () => 'late')
  await vi.advanceTimersByTimeAsync(999)
  expect(vi.getTimerCount()).toBe(1)
  await vi.advanceTimersByTimeAsync(1)
  expect(await answer).toBe('late')
})

test('what is meant for then may be an error', async () => {
  const answer = within(1000, never, () => {
    throw new Error('no answer')
  })
  const refused = expect(answer).rejects.toThrow('no answer')
  await vi.advanceTimersByTimeAsync(1000)
  await refused
})

test('work that fails after its time disturbs nobody', async () => {
  let fail: (error: Error) => void = () => undefined
  const work = new Promise<never>((_, reject) => {
    fail = reject
  })
  const answer = within(1000, work, () => 'late')
  await vi.advanceTimersByTimeAsync(1000)
  expect(await answer).toBe('late')
  fail(new Error('too late'))
  await vi.advanceTimersByTimeAsync(1)
})
