import {expect, test} from 'vitest'
import {eventCodes} from '../../../src/lib/audit/index.js'

const codes = Object.entries(eventCodes).flatMap(([event, outcomes]) =>
  Object.entries(outcomes).map(([outcome, code]) => ({event, outcome, code})),
)

test('a code belongs to one event', () => {
  const twice = codes.filter(({code}, at) => codes.findIndex(other => other.code === code) !== at)
  expect(twice).toEqual([])
})

test('a code says by its letter how it ended', () => {
  const wrong = codes.filter(({outcome, code}) => !(outcome === 'ok' ? /[IW]$/ : /[WE]$/).test(code))
  expect(wrong).toEqual([])
})
