import fc from 'fast-check'
import {describe, expect, test} from 'vitest'
import {hostHasWords, parseHostQuery} from '../../../src/lib/access/host-query.js'
import type {HostRecord} from '../../../src/lib/access/index.js'

const host: HostRecord = {
  id: '11111111-1111-4111-8111-111111111111',
  subKind: 'node',
  hostname: 'web-1',
  address: '10.0.0.8:3022',
  labels: {env: 'prod', 'a.b/c': 'x y', team: 'it\'s "web"', empty: ''},
}

describe('a query', () => {
  test.each([
    'labels["env"] == "prod"',
    "labels.env=='prod'",
    'labels.env != "test"',
    '"prod" == labels["env"]',
    'name == "web-1" && address == "10.0.0.8:3022"',
    'uuid == "11111111-1111-4111-8111-111111111111"',
    'labels.env == "test" || name == "web-1"',
    // As in Go: && before ||.
    'name == "web-1" || name == "x" && name == "y"',
    '!(labels.env == "test" || name == "db-1") && !exists(labels.nothing)',
    '!!(name == "web-1")',
    'equals(labels["a.b/c"], "x y")',
    'hasPrefix(name, "web-")',
    'contains(labels.env, "ro")',
    'search("WEB", "prod")',
    'search("web prod")',
    'search()',
    'exists(labels["empty"])',
    'labels.nothing == ""',
    'labels["team"] == "it\'s \\"web\\""',
    'labels.constructor == "" && !exists(labels.__proto__)',
    ' ( name=="web-1" ) ',
  ])('holds: %s', text => expect(parseHostQuery(text)(host)).toBe(true))

  test.each([
    'labels.env == "test"',
    'labels.env == "PROD"',
    '(name == "web-1" || name == "x") && name == "y"',
    'hasPrefix(name, "eb-1")',
    'search("web", "test")',
    'exists(labels.nothing)',
    '!search("web")',
  ])('does not hold: %s', text => expect(parseHostQuery(text)(host)).toBe(false))

  test.each<[string, number]>([
    ['', 1],
    ['name', 1],
    ['"web-1"', 1],
    ['name = "web-1"', 6],
    ['name == ', 9],
    ['name == "web-1', 9],
    ['name == "web-1" name', 17],
    ['name == "web-1" &&', 19],
    ['name == (name == "x")', 10],
    ['labels', 7],
    ['labels[env] == "prod"', 8],
    ['labels["env" == "prod"', 14],
    ['nonsense == "x"', 1],
    ['constructor("x")', 1],
    ['equals(name)', 1],
    ['exists(name)', 1],
    ['exists(labels.env, labels.team)', 1],
    ['hasPrefix(name, "x"', 20],
    ['equals(name == "x", "y")', 8],
    ['!name', 2],
    ['name == "web-1" || "x"', 20],
    ['`id`', 1],
  ])('is wrong: %s, at character %d', (text, place) => {
    expect(() => parseHostQuery(text)).toThrow(
      expect.objectContaining({code: 'usage', message: expect.stringMatching(`at character ${place}: `)}),
    )
  })

  test('is bounded in length and depth', () => {
    const deep = (depth: number): string => `${'('.repeat(depth)}name == "web-1"${')'.repeat(depth)}`
    expect(parseHostQuery(deep(20))(host)).toBe(true)
    expect(() => parseHostQuery(deep(500))).toThrow('too deep')
    expect(() => parseHostQuery(`${'!'.repeat(1000)}search()`)).toThrow('too deep')
    expect(() => parseHostQuery(`search("${'x'.repeat(1024)}")`)).toThrow('1024 characters')
  })

  test('of any text gives a condition or a mistake with its place, and nothing else', () => {
    const word = fc.constantFrom(
      ...['name', 'labels', '.', '[', ']', '"env"', "'x'", '==', '!=', '&&', '||', '!', '(', ')', ',', ' '],
      ...['search', 'exists', 'equals', 'env', '\\', '"', '__proto__'],
    )
    const text = fc.oneof(
      fc.string(),
      fc.array(word).map(words => words.join('')),
    )
    fc.assert(
      fc.property(text, query => {
        try {
          expect(typeof parseHostQuery(query)(host)).toBe('boolean')
        } catch (error) {
          expect(error).toMatchObject({code: 'usage'})
        }
      }),
    )
  })

  test('and its opposite never agree', () => {
    const text = fc.string().map(value => JSON.stringify(value.replace(/[^ -~]/g, '')))
    fc.assert(
      fc.property(text, value => {
        const query = `labels.env == ${value}`
        expect(parseHostQuery(query)(host)).toBe(value === '"prod"')
        expect(parseHostQuery(`!(${query})`)(host)).toBe(value !== '"prod"')
      }),
    )
  })
})

test('words are looked for in the name, the address, the UUID and the labels, all of them', () => {
  expect(hostHasWords(host, 'web 3022,ENV=prod 1111')).toBe(true)
  expect(hostHasWords(host, 'web nothing')).toBe(false)
  expect(hostHasWords(host, '')).toBe(true)
})
