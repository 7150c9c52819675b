import fc from 'fast-check'
import {expect, test} from 'vitest'
import {timeRange} from '../../../../src/lib/client/history/time-range.js'

const now = Date.parse('2025-11-21T12:00:00Z')

test('the last hours are counted from now', () => {
  expect(timeRange({}, now)).toEqual({})
  expect(timeRange({last: '24h'}, now)).toEqual({from: new Date('2025-11-20T12:00:00Z')})
  expect(timeRange({last: '2h', to: '2025-11-21T11:00:00Z'}, now)).toEqual({
    from: new Date('2025-11-21T10:00:00Z'),
    to: new Date('2025-11-21T11:00:00Z'),
  })
  expect(timeRange({last: '90000000d'}, now)).toEqual({from: new Date(0)})
})

test.each([
  ['2025-11-20', '2025-11-20T00:00:00Z'],
  ['2024-02-29', '2024-02-29T00:00:00Z'],
  ['2025-11-20T14:30', '2025-11-20T14:30:00Z'],
  // As `ls` prints it.
  ['2025-11-20 14:30:05', '2025-11-20T14:30:05Z'],
  ['2025-11-20T14:30:05.25', '2025-11-20T14:30:05.250Z'],
  ['2025-11-20T14:30:05.123456789Z', '2025-11-20T14:30:05.123Z'],
  ['2025-11-20T14:30:05Z', '2025-11-20T14:30:05Z'],
  ['2025-11-20T00:30+01:00', '2025-11-19T23:30:00Z'],
  ['2025-11-20T23:30-03:30', '2025-11-21T03:00:00Z'],
])('%s means %s, whatever the zone of the machine', (text, meant) => {
  const zone = process.env.TZ
  process.env.TZ = 'Asia/Kathmandu'
  try {
    expect(timeRange({from: text}, now)).toEqual({from: new Date(meant)})
  } finally {
    if (zone === undefined) delete process.env.TZ
    else process.env.TZ = zone
  }
})

test.each(
  [
    [
      'last 3',
      'yesterday',
      'yesterday 1',
      '5',
      '2025',
      '2025-11',
      '20251121',
      '',
      ' 2025-11-21',
      '2025-11-21\n',
    ],
    ['2026-02-30', '2025-02-29', '2025-13-01', '2025-00-10', '2025-11-00', '1/2/2025', '2025-1-2'],
    ['2025-11-21T', '2025-11-21T14', '2025-11-21T24:00', '2025-11-21T14:60', '2025-11-21T14:30:60'],
    ['2025-11-21T14:30:', '2025-11-21T14:30+1', '2025-11-21T14:30+24:00', '2025-11-21Z', '+002025-11-21'],
  ].flat(),
)('%j is no time', text => {
  for (const flag of ['from', 'to'])
    expect(() => timeRange({[flag]: text}, now)).toThrow(`--${flag} expects a time`)
})

test.each([
  [{last: 'long'}, '--last'],
  [{last: ''}, '--last'],
  [{last: '0s'}, '--last'],
  [{from: '2025-11-21', to: '2025-11-20'}, 'ends before it begins'],
])('%j is refused', (flags, words) => {
  expect(() => timeRange(flags, now)).toThrow(words)
})

test('every time reads back as it was written', () => {
  fc.assert(
    fc.property(
      fc.date({min: new Date('0000-01-01'), max: new Date('9999-12-31'), noInvalidDate: true}),
      date => {
        expect(timeRange({from: date.toISOString()}, now)).toEqual({from: date})
      },
    ),
  )
})
