import fc from 'fast-check'
import {describe, expect, test} from 'vitest'
import {labelsMatch, matchesPattern} from '../../../src/lib/access/labels.js'
import {expand} from '../../../src/lib/access/templates.js'
import {leastProcessorTime} from '../../support/processor-time.js'

describe('labels match', () => {
  test.each([
    [{env: ['production']}, {env: 'production'}],
    [{env: ['test', 'production']}, {env: 'production'}],
    [
      {env: ['production'], tier: ['db']},
      {env: 'production', tier: 'db'},
    ],
    [{'*': ['*']}, {}],
    [{env: ['*']}, {env: ''}],
    [{env: ['prod-*']}, {env: 'prod-eu-1'}],
    [{env: ['^prod-(eu|us)$']}, {env: 'prod-us'}],
  ])('%j with %j', (wanted, labels) => {
    expect(labelsMatch(wanted, labels as unknown as Record<string, string>)).toBe(true)
  })
})

describe('labels do not match', () => {
  test.each([
    [{}, {env: 'production'}],
    [{env: ['production']}, {}],
    [{env: []}, {env: 'production'}],
    [{env: ['production'], tier: ['db']}, {env: 'production'}],
    [{'*': ['production']}, {env: 'production'}],
    [{env: ['prod-*']}, {env: 'my-prod-1'}],
    [{env: ['prod.x']}, {env: 'prod-x'}],
    [{env: ['prod.*']}, {env: 'prod-x'}],
    [{env: ['^(prod$']}, {env: '(prod'}],
    [{env: ['^prod$']}, {env: 'prod\nmore'}],
    [{constructor: ['*']}, {}],
    [{toString: ['*']}, {}],
  ])('%j with %j', (wanted, labels) => {
    const conditions = wanted as unknown as Record<string, string[]>
    expect(labelsMatch(conditions, labels as unknown as Record<string, string>)).toBe(false)
  })
})

test('a pattern without wildcard matches itself and nothing else', () => {
  const literal = fc.string().filter(text => !text.includes('*') && !text.startsWith('^'))
  fc.assert(
    fc.property(literal, fc.string(), (pattern, value) => {
      expect(matchesPattern(pattern, pattern)).toBe(true)
      expect(matchesPattern(pattern, value)).toBe(pattern === value)
    }),
  )
})

test('a glob matches exactly what begins and ends like it', () => {
  const plain = fc.string().filter(text => !text.includes('*') && !text.startsWith('^'))
  fc.assert(
    fc.property(plain, plain, fc.string(), (head, tail, middle) => {
      expect(matchesPattern(`${head}*${tail}`, `${head}${middle}${tail}`)).toBe(true)
      expect(matchesPattern(`${head}*${tail}`, middle)).toBe(
        middle.length >= head.length + tail.length && middle.startsWith(head) && middle.endsWith(tail),
      )
    }),
  )
})

test('a glob of many wildcards is decided at once', () => {
  const time = leastProcessorTime(() =>
    expect(matchesPattern(`${'a*'.repeat(30)}b`, 'a'.repeat(2000))).toBe(false),
  )
  expect(time).toBeLessThan(500)
})

test.each([
  ['root', ['root']],
  ['{{internal.logins}}', ['joe', 'root']],
  ['{{ internal.logins }}', ['joe', 'root']],
  ['{{external.team}}', ['ops']],
  ['{{external.toString}}', []],
  ['{{internal.other}}', []],
  ['x-{{internal.logins}}', []],
  ['{{internal.logins', []],
])('the entry %s stands for %j', (entry, values) => {
  expect(expand(entry, {internal: {logins: ['joe', 'root']}, external: {team: ['ops']}})).toEqual(values)
})
