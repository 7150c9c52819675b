import fc from 'fast-check'
import {describe, expect, test} from 'vitest'
import {parse} from 'yaml'
import {paint, wantsColour} from '../../../src/lib/cli/colour.js'
import {type Format, jsonLine, render, tableWidth} from '../../../src/lib/cli/output.js'
import {table} from '../../../src/lib/cli/table.js'

async function written(value: unknown, format: Format, text = () => '', isTTY = false, env = {}) {
  let output = ''
  await render(value, {format, text, env, stream: {isTTY, write: part => (output += part)}})
  return output
}

describe('render', () => {
  test('writes text once, ended by one line break, and nothing for an empty answer', async () => {
    expect(await written({}, 'text', () => 'one\ntwo')).toBe('one\ntwo\n')
    expect(await written({}, 'text', () => 'ready\n')).toBe('ready\n')
    expect(await written([], 'text', () => '')).toBe('')
  })

  test('writes JSON of bigint, date and bytes in words a reader can parse', async () => {
    const value = {serial: 12n, at: new Date(0), raw: Buffer.from('hi'), list: [undefined, 1]}
    expect(JSON.parse(await written(value, 'json'))).toEqual({
      serial: '12',
      at: '1970-01-01T00:00:00.000Z',
      raw: 'aGk=',
      list: [null, 1],
    })
  })

  test('JSON and YAML give every string back and hold no raw control character', async () => {
    await fc.assert(
      fc.asyncProperty(fc.string({unit: 'binary', maxLength: 40}), async name => {
        const value = {rows: [{name}]}
        const json = await written(value, 'json')
        const yaml = await written(value, 'yaml')
        expect(JSON.parse(json)).toEqual(value)
        expect(parse(yaml)).toEqual(value)
        for (const output of [json, yaml]) expect(output).not.toMatch(/[^\P{Cc}\n\t]/u)
      }),
    )
  })

  test('keeps a JSON record on one line', () => {
    expect(jsonLine({a: 'x\ny\u0085'})).toBe('{"a":"x\\ny\\u0085"}')
  })

  test('colour appears on a terminal only, and not under NO_COLOR or a dumb terminal', async () => {
    const red = () => '\u001b[31mred\u001b[39m'
    expect(await written({}, 'text', red, true, {})).toBe('\u001b[31mred\u001b[39m\n')
    expect(await written({}, 'text', red, true, {NO_COLOR: '1'})).toBe('red\n')
    expect(await written({}, 'text', red, false, {})).toBe('red\n')
    expect(wantsColour({isTTY: true}, {TERM: 'dumb'})).toBe(false)
    expect(paint({isTTY: false}, {}).red('plain')).toBe('plain')
    expect(paint({isTTY: true}, {}).red('red')).toBe(red())
  })
})

describe('table', () => {
  const columns = [
    {header: 'Host', value: (row: {host: string; user: string}) => row.host},
    {header: 'User', value: (row: {host: string; user: string}) => row.user},
  ]

  test('aligns columns and cuts nothing where there is no terminal', () => {
    const rows = [
      {host: 'a-very-long-host-name.example.org', user: 'joe'},
      {host: '日本', user: 'ann'},
    ]
    expect(table(rows, columns, tableWidth({write: () => true}))).toBe(
      [
        'Host                               User',
        'a-very-long-host-name.example.org  joe',
        '日本                               ann',
      ].join('\n'),
    )
  })

  test('shortens the widest column to the terminal', () => {
    const rows = [{host: 'a-very-long-host-name.example.org', user: 'joe'}]
    const text = table(rows, columns, tableWidth({isTTY: true, columns: 20, write: () => true}))
    expect(text.split('\n')[1]).toBe('a-very-long-h…  joe')
  })

  test('escapes what a remote host put into a cell', () => {
    expect(table([{host: 'x\u001b[2J', user: 'joe\nroot'}], columns)).toContain('x\\x1b[2J  joe\\x0aroot')
  })
})
