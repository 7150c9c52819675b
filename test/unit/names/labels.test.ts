import fc from 'fast-check'
import {describe, expect, test} from 'vitest'
import {labelNameProblem, maxLabelName, maxLabelValue, parseLabels} from '../../../src/lib/names/index.js'

describe('labels in one text', () => {
  test.each([
    ['env=prod', {env: 'prod'}],
    ['env=prod, region = eu', {env: 'prod', region: 'eu'}],
    ['_a.b/c:d-e=x=y', {'_a.b/c:d-e': 'x=y'}],
    ['env=', {env: ''}],
    ['env=*', {env: '*'}],
  ])('%j are %j', (text, labels) => expect(parseLabels(text)).toEqual(labels))

  test.each([
    ['', 'a label is name=value'],
    ['env', 'a label is name=value'],
    ['a=b,', 'a label is name=value'],
    ['=x', 'begins with a letter or _'],
    ['1=a', 'begins with a letter or _'],
    ['a b=c', 'begins with a letter or _'],
    ['__proto__=x', 'begins with a letter or _'],
    ['env=a,env=b', 'there is one of this name already'],
    [`a=${'x'.repeat(maxLabelValue + 1)}`, 'at most 512 characters'],
  ])('%j are none', (text, why) => {
    expect(() => parseLabels(text)).toThrow(why)
    expect(() => parseLabels(text)).toThrow(expect.objectContaining({code: 'usage'}))
  })

  test('come back as they were written', () => {
    const name = fc.stringMatching(/^[A-Za-z_][A-Za-z0-9_./:-]{0,20}$/).filter(text => text !== '__proto__')
    const value = fc.stringMatching(/^[A-Za-z0-9=*. ]{0,20}$/).map(text => text.trim())
    fc.assert(
      fc.property(fc.dictionary(name, value, {minKeys: 1, noNullPrototype: true}), labels => {
        const text = Object.entries(labels).map(pair => pair.join('='))
        expect(parseLabels(text.join(','))).toEqual(labels)
      }),
    )
  })
})

test('the name of a label is as long as it may be, and no longer', () => {
  expect(labelNameProblem('a'.repeat(maxLabelName))).toBeUndefined()
  expect(labelNameProblem('a'.repeat(maxLabelName + 1))).toContain('at most 128')
})
