import {readFile} from 'node:fs/promises'
import {describe, expect, test} from 'vitest'
import {
  errnoOf,
  ifMissing,
  isExhausted,
  isForbidden,
  isFull,
  isMissing,
  mayPassByItself,
} from '../../../src/lib/durable/index.js'
import {problem} from '../../../src/lib/errors/index.js'

const failure = (code: string, cause?: unknown) => Object.assign(new Error(code, {cause}), {code})

describe('the name of an error', () => {
  test('is that of the operating system', async () => {
    const error = await readFile('/there/is/none').catch((thrown: unknown) => thrown)
    expect(errnoOf(error)).toBe('ENOENT')
    expect(isMissing(error)).toBe(true)
  })

  test.each([
    ['one of ours', problem('not_found', 'x')],
    ['one that Node made', failure('ERR_STREAM_PREMATURE_CLOSE')],
    ['an error without any', new Error('ENOENT')],
    ['a number', Object.assign(new Error('x'), {code: 2})],
    ['what is no error', {code: 'ENOENT'}],
    ['nothing', undefined],
  ])('is none for %s', (_, error) => {
    expect(errnoOf(error)).toBeUndefined()
    expect(isMissing(error)).toBe(false)
  })
})

test.each<[string, {full?: true; exhausted?: true; forbidden?: true; passes?: true}]>([
  ['ENOSPC', {full: true, passes: true}],
  ['EDQUOT', {full: true, passes: true}],
  ['EMFILE', {exhausted: true, passes: true}],
  ['ENFILE', {exhausted: true, passes: true}],
  ['ENOMEM', {exhausted: true, passes: true}],
  ['EAGAIN', {exhausted: true, passes: true}],
  ['EACCES', {forbidden: true, passes: true}],
  ['EPERM', {forbidden: true, passes: true}],
  ['EROFS', {passes: true}],
  ['ENOENT', {}],
  ['EIO', {}],
  ['EISDIR', {}],
])('%s is what it is', (code, {full = false, exhausted = false, forbidden = false, passes = false}) => {
  const error = failure(code)
  expect([isFull(error), isExhausted(error), isForbidden(error)]).toEqual([full, exhausted, forbidden])
  expect(mayPassByItself(error)).toBe(passes)
  expect(mayPassByItself(problem('store_failed', 'x', {cause: error}))).toBe(passes)
})

test('only a missing file becomes a value', () => {
  expect(ifMissing(0)(failure('ENOENT'))).toBe(0)
  const other = failure('EACCES')
  expect(() => ifMissing(0)(other)).toThrow(other)
})
