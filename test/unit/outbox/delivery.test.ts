import {afterEach, beforeEach, describe, expect, it, vi} from 'vitest'
import {type Attempted, createDelivery, type Delivery} from '../../../src/lib/outbox/delivery.js'

const [gone, bad] = [new Error('gone'), new Error('bad')]

let tries: {lane: string; at: number}[]
let fate: (lane: string) => Error | undefined
let came: (lane: string) => Attempted
let told: string[]
let delivery: Delivery

beforeEach(() => {
  vi.useFakeTimers()
  tries = []
  told = []
  fate = () => undefined
  came = () => 'done'
  delivery = createDelivery({
    async attempt(lane) {
      tries.push({lane, at: Date.now()})
      const error = fate(lane)
      if (error) throw error
      return came(lane)
    },
    isAway: error => error === gone,
    onAway: () => void told.push('away'),
    onBack: () => void told.push('back'),
    now: Date.now,
    random: () => 1,
    ...{firstMs: 100, longestMs: 1000},
  })
})

afterEach(async () => {
  await delivery.close()
  vi.useRealTimers()
})

const pass = (milliseconds: number): Promise<unknown> => vi.advanceTimersByTimeAsync(milliseconds)
const lanes = (): string[] => tries.map(({lane}) => lane)

describe('while nothing can be told', () => {
  it('one lane at a time tries, another one each time, with growing pauses', async () => {
    fate = () => gone
    for (const lane of ['a', 'b', 'c']) delivery.add(lane)
    await pass(0)
    tries.length = 0
    const begun = Date.now()
    await pass(20_000)
    expect(new Set(lanes())).toEqual(new Set(['a', 'b', 'c']))
    const times = tries.map(({at}) => at - begun)
    const pauses = times.slice(1).map((time, i) => time - (times[i] ?? 0))
    expect(pauses.slice(0, 4)).toEqual([200, 400, 800, 1000])
    expect(Math.max(...pauses)).toBe(1000)
    expect(told).toEqual(['away'])
    expect(delivery.away).toBe(gone)
  })

  it('what is added waits with the others, and all are told when one came through', async () => {
    fate = () => gone
    delivery.add('a')
    await pass(5000)
    for (let i = 0; i < 50; i++) delivery.add(`l${i}`)
    const before = tries.length
    await pass(0)
    expect(tries.length - before).toBeLessThanOrEqual(1)
    fate = () => undefined
    await pass(1000)
    expect(new Set(lanes().slice(before)).size).toBe(51)
    expect(told).toEqual(['away', 'back'])
    expect(delivery.away).toBeUndefined()
  })

  it.each(['nothing', 'later'] as const)(
    'a lane with %s to tell is no sign that it is over',
    async answer => {
      fate = lane => (lane === 'empty' ? undefined : gone)
      came = () => answer
      for (const lane of ['a', 'empty', 'b']) delivery.add(lane)
      await pass(5000)
      expect(lanes()).toContain('empty')
      expect(told).toEqual(['away'])
      expect(delivery.away).toBe(gone)
    },
  )

  it('a wake-up tries at once', async () => {
    fate = () => gone
    delivery.add('a')
    await pass(10_000)
    fate = () => undefined
    delivery.wake()
    await pass(0)
    expect(told).toEqual(['away', 'back'])
  })
})

describe('a lane whose own steps fail', () => {
  it('rests longer each time, whatever the error, and the others go on at once', async () => {
    for (const error of [bad, gone]) {
      fate = lane => (lane === 'poison' ? error : undefined)
      tries.length = 0
      delivery.add('poison')
      for (let i = 0; i < 200; i++) {
        delivery.add(`good-${i}`)
        await pass(50)
      }
      await pass(1000)
      expect(new Set(lanes()).size).toBe(201)
      expect(lanes().filter(lane => lane === 'poison').length).toBeLessThan(25)
    }
  })

  it('begins anew with short pauses when it came through', async () => {
    fate = () => bad
    delivery.add('a')
    await pass(5000)
    fate = () => undefined
    await pass(1000)
    tries.length = 0
    fate = () => bad
    delivery.add('a')
    await pass(110)
    expect(tries).toHaveLength(2)
  })
})

it('a lane that is added while it is told is told again', async () => {
  delivery.add('a')
  delivery.add('a')
  await pass(0)
  expect(lanes()).toEqual(['a', 'a'])
})

it('nothing is tried after the end', async () => {
  fate = () => gone
  delivery.add('a')
  await pass(0)
  await delivery.close()
  const count = tries.length
  await pass(100_000)
  expect(tries).toHaveLength(count)
})
