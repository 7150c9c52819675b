import {readdirSync, readFileSync} from 'node:fs'
import {join} from 'node:path'
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

const read = (path: string): string => readFileSync(join(import.meta.dirname, '../../..', path), 'utf8')

test('the documentation has every event with its codes, and no other', () => {
  const [, table = ''] = read('docs/audit-log.md').split('\n## Events\n')
  const rows = table.split('\n').filter(row => row.startsWith('| `'))
  const documented = rows.flatMap(row => {
    const [, events = '', outcomes = ''] = row.split(' | ')[0] === row ? [] : ['', ...row.split(' | ')]
    const names = [...events.replace(/:.*|\(.*?\)/g, '').matchAll(/`([^`]+)`/g)].map(([, name]) => name)
    const given = outcomes.replace(' |', '').split(', ')
    return names.map((name, at) => [name, given[at]])
  })
  const known = Object.entries(eventCodes).map(
    ([name, {ok, failed}]: [string, {ok?: string; failed?: string}]) => [
      name,
      [ok ?? '–', ...(failed ? [failed] : [])].join(' / '),
    ],
  )
  expect(documented.sort()).toEqual(known.sort())
})

test('an event is there because something tells it', () => {
  const sources = readdirSync(join(import.meta.dirname, '../../../src'), {recursive: true, encoding: 'utf8'})
    .filter(name => name.endsWith('.ts') && !name.endsWith('audit/event.ts'))
    .map(name => read(join('src', name)))
    .join('\n')
  // Made of the name of a protocol and what it calls the operation.
  const isMade = (name: string): boolean => {
    const [, protocol, operation] = /^(sftp|rsync)\.(\w+)$/.exec(name) ?? []
    return (
      protocol !== undefined &&
      sources.includes(`\`${protocol}.${'$'}{`) &&
      sources.includes(`'${operation}'`)
    )
  }
  const told = (name: string): boolean => sources.includes(`'${name}'`) || isMade(name)
  expect(Object.keys(eventCodes).filter(name => !told(name))).toEqual([])
})
