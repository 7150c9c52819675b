import {randomUUID} from 'node:crypto'
import {expect, test} from 'vitest'
import {isUuid, uuidSource} from '../../../src/lib/names/index.js'

test('what is made as a UUID is one', () => {
  const uuid = randomUUID()
  expect(isUuid(uuid)).toBe(true)
  expect(new RegExp(`^${uuidSource}\\.cast$`).test(`${uuid}.cast`)).toBe(true)
})

test.each([
  ['in capitals', '6F4C1A56-1F0E-4A8E-9A35-0D9C1C0D7C11'],
  ['with a line break', '6f4c1a56-1f0e-4a8e-9a35-0d9c1c0d7c11\n'],
  ['in braces', '{6f4c1a56-1f0e-4a8e-9a35-0d9c1c0d7c11}'],
  ['without dashes', '6f4c1a561f0e4a8e9a350d9c1c0d7c11'],
  ['as a part of a path', '../6f4c1a56-1f0e-4a8e-9a35-0d9c1c0d7c11'],
  ['too short', '6f4c1a56-1f0e-4a8e-9a35-0d9c1c0d7c1'],
  ['that is nothing', ''],
])('one %s is none', (_, text) => expect(isUuid(text)).toBe(false))
