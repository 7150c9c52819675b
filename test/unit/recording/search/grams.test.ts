import fc from 'fast-check'
import {expect, test} from 'vitest'
import {createSieve, createSignature, fold} from '../../../../src/lib/recording/search/grams.js'

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

test('all that an expression takes for the same letter has the same pieces', () => {
  const changing = /[\p{Changes_When_Casefolded}\p{Changes_When_Uppercased}\p{Changes_When_Lowercased}]/u
  const letters = new Set<string>()
  for (let code = 0; code < 0x110000; code++) {
    const letter = String.fromCodePoint(code)
    if (changing.test(letter))
      for (const other of [letter, letter.toLowerCase(), letter.toUpperCase()])
        for (const one of other) letters.add(one)
  }
  const all = [...letters].join('')
  const missed = [...letters].flatMap(letter =>
    [...all.matchAll(new RegExp(letter, 'giu'))]
      .filter(([same]) => fold(same) !== fold(letter))
      .map(([same]) => letter + same),
  )
  expect(letters.size).toBeGreaterThan(2500)
  expect(missed).toEqual([])
})

test('a small sigma at the end of a word is the one within', () => {
  expect(fold('ΟΔΟΣ')).toBe(fold('οδοσ'))
  expect(fold('ΟΔΟΣ')).toBe(fold('οδο') + fold('ς'))
})
