import {expect, test} from 'vitest'
import {timeRange} from '../../../../src/lib/client/history/time-range.js'

const now = Date.parse('2025-11-21T12:00:00Z')

test('times are read as ISO 8601, and the last hours from now', () => {
  expect(timeRange({}, now)).toEqual({})
  expect(timeRange({last: '24h'}, now)).toEqual({from: new Date('2025-11-20T12:00:00Z')})
  expect(timeRange({last: '2h', to: '2025-11-21T11:00:00Z'}, now)).toEqual({
    from: new Date('2025-11-21T10:00:00Z'),
    to: new Date('2025-11-21T11:00:00Z'),
  })
  expect(timeRange({from: '2025-11-20'}, now)).toEqual({from: new Date('2025-11-20T00:00:00Z')})
})

test.each([
  [{from: 'yesterday'}, '--from'],
  [{to: 'soon'}, '--to'],
  [{last: 'long'}, '--last'],
  [{from: '2025-11-21', to: '2025-11-20'}, 'ends before it begins'],
])('%j is refused', (flags, words) => {
  expect(() => timeRange(flags, now)).toThrow(words)
})
