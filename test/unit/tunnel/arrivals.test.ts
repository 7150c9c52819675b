import {expect, test} from 'vitest'
import {createArrivals} from '../../../src/lib/tunnel/arrivals.js'

test('an address has so many connections in a minute, told once, and others have theirs', () => {
  const clock = {now: 0}
  const arrivals = createArrivals(() => clock.now)
  for (let n = 0; n < 300; n++) expect(arrivals.admit('192.0.2.1')).toEqual({admitted: true})
  expect(arrivals.admit('192.0.2.1')).toEqual({admitted: false, first: true})
  expect(arrivals.admit('192.0.2.1')).toEqual({admitted: false, first: false})
  expect(arrivals.admit('192.0.2.2')).toEqual({admitted: true})
  clock.now += 60_000
  expect(arrivals.admit('192.0.2.1')).toEqual({admitted: true})
})

test('what is kept of addresses is bounded, and those that were there go on', () => {
  const arrivals = createArrivals(() => 0)
  for (let n = 0; n < 20_000; n++) arrivals.admit(`a${n}`)
  expect(arrivals.admit('one more')).toEqual({admitted: false, first: false})
  expect(arrivals.admit('a7')).toEqual({admitted: true})
})
