import fc from 'fast-check'
import {expect, test} from 'vitest'
import {
  createSieve,
  createSignature,
  fold,
  requiredPieces,
} from '../../../../src/lib/recording/search/grams.js'

const signatureOf = (...texts: string[]): Buffer => {
  const signature = createSignature()
  for (const text of texts) signature.add(text)
  return signature.finish()
}

test('a signature admits every piece of its text, in any case', () => {
  fc.assert(
    fc.property(fc.string({unit: 'binary', minLength: 1}), fc.nat(), fc.nat(), (text, a, b) => {
      const characters = [...text]
      const ends = [a % characters.length, b % (characters.length + 1)].sort((x, y) => x - y)
      const piece = characters.slice(...ends).join('')
      const signature = signatureOf('other', text)
      expect(createSieve([piece])(signature)).toBe(true)
      expect(createSieve([fold(piece)])(signature)).toBe(true)
    }),
  )
})

test('a signature turns nearly everything else away', () => {
  const text = Array.from({length: 3000}, (_, i) => `line ${i * 7919} of the log`).join('\n')
  const signature = signatureOf(...text.split('\n'))
  expect(signature.length).toBeLessThan(20_000)
  const wrong = Array.from({length: 1000}, (_, i) => `zq${i}xj${i * 31}`)
  expect(wrong.filter(word => createSieve([word])(signature)).length).toBeLessThan(5)
})

test('a text without end has the signature that admits all', () => {
  const signature = createSignature()
  let state = 1
  const next = (): number => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0
    return 0x4e00 + ((state >>> 8) % 20_000)
  }
  for (let i = 0; i < 200; i++) signature.add(String.fromCharCode(...Array.from({length: 1000}, next)))
  expect(signature.finish().length).toBe(0)
  expect(createSieve(['anything'])(Buffer.alloc(0))).toBe(true)
})

test.each([
  ['abc', ['abc']],
  ['ab+c', ['ab', 'c']],
  ['abc?d', ['ab', 'd']],
  ['abc*', ['ab']],
  ['abc{0,3}d', ['ab', 'd']],
  ['a|b', []],
  ['x(ab)?y', ['x', 'y']],
  ['x[abc]y', ['x', 'y']],
  ['x[a\\]b]y', ['x', 'y']],
  ['\\d\\.x', ['.x']],
  ['\\x41b', []],
  ['^ab$', ['ab']],
  ['a.c', ['a', 'c']],
])('of %j these must be there: %j', (expression, pieces) => {
  expect(requiredPieces(expression)).toEqual(pieces)
})

test('what matches an expression has its pieces', () => {
  const atom = fc.oneof(
    fc.constantFrom('a', 'b', 'ab', '.', '[ab]', '(ab)', '(a|b)', '(?:ab)', '\\w', '\\.'),
    fc.string({minLength: 1, maxLength: 3, unit: fc.constantFrom('a', 'b', 'c')}),
  )
  const expression = fc
    .array(fc.tuple(atom, fc.constantFrom('', '?', '*', '+', '{0,2}', '{2}')), {maxLength: 5})
    .map(parts => parts.map(part => part.join('')).join(''))
  const text = fc.string({unit: fc.constantFrom('a', 'b', 'c', '.'), maxLength: 12})
  fc.assert(
    fc.property(expression, text, (source, line) => {
      const match = new RegExp(source, 'u').exec(line)
      if (match) for (const piece of requiredPieces(source)) expect(match[0]).toContain(piece)
    }),
    {numRuns: 2000},
  )
})
