import fc from 'fast-check'
import {expect, test} from 'vitest'
import {createSieve, createSignature} from '../../../../src/lib/recording/search/grams.js'
import {createMatcher, piecesOf, type SearchPattern} from '../../../../src/lib/recording/search/pattern.js'
import {requiredPieces} from '../../../../src/lib/recording/search/pieces.js'

test.each([
  ['abc', ['abc']],
  ['ab+c', ['ab', 'c']],
  ['abc?d', ['ab', 'd']],
  ['abc*', ['ab']],
  ['abc{0,3}d', ['ab', 'd']],
  ['a|b', []],
  ['x(ab)?y', ['x', 'y']],
  ['x(a|b)y', ['x', 'y']],
  ['x[abc]y', ['x', 'y']],
  ['x[a\\]b]y', ['x', 'y']],
  ['\\d\\.x', ['.x']],
  ['a\\x41b', ['a', 'b']],
  ['a\\u0041b', ['a', 'b']],
  ['a\\u{1f680}b', ['a', 'b']],
  ['a\\p{Lu}b\\P{Script=Greek}c', ['a', 'b', 'c']],
  ['(?<n>x)a\\k<n>b', ['a', 'b']],
  ['(x)a\\1b\\cJc', ['a', 'b', 'c']],
  ['^ab$', ['ab']],
  ['a.c', ['a', 'c']],
  ['deploy🚀done', ['deploy🚀done']],
  ['deploy🚀?done', ['deploy', 'done']],
  ['deploy🚀{2}done', ['deploy', 'done']],
])('of %j these must be there: %j', (expression, pieces) => {
  expect(requiredPieces(expression)).toEqual(pieces)
})

test.each([
  ['deploy🚀done', 'deploy🚀done', false],
  ['deploy🚀?done', 'deploydone', false],
  ['deploy🚀*done', 'deploy🚀🚀done', false],
  ['µm', 'μm', true],
  ['μM', 'µm', true],
  ['stra(ſ|x)ẞe', 'STRASßE', true],
  ['\u{10400}x', '\u{10428}X', true],
  ['οδος', 'ΟΔΟΣ', true],
])('%j finds %j', (text, line, ignoreCase) => {
  for (const regex of [true, false].slice(0, /[?*(]/.test(text) ? 1 : 2))
    expect(look({text, regex, ignoreCase}, line)).toEqual({matches: true, admitted: true})
})

/** What a search does with a line: whether it matches, and whether the line's signature lets it be looked at. */
function look(pattern: SearchPattern, line: string) {
  const signature = createSignature()
  for (const text of ['another line', line]) signature.add(text)
  return {
    matches: createMatcher(pattern)(line) !== undefined,
    admitted: createSieve(piecesOf(pattern))(signature.finish()),
  }
}

/** Letters that are more than one code unit, and letters whose case is anything but simple. */
const letter = fc.constantFrom(
  ...[
    'a',
    'b',
    'k',
    'K',
    '\u212a',
    's',
    'S',
    'ſ',
    'ß',
    'ẞ',
    'i',
    'I',
    'İ',
    'ı',
    'µ',
    'μ',
    'Μ',
    'σ',
    'ς',
    'Σ',
  ],
  ...['ǆ', 'ǅ', 'ᾳ', 'ᾼ', 'ﬅ', 'ﬆ', 'ᲀ', 'в', 'В', 'Ω', 'ω', 'é', 'e', '\u0301', '🚀', '🛸', '\u{10400}'],
  ...['\u{10428}', '-', '5', ' '],
)

/** An expression, and a text that it matches when nothing around it is against it. */
interface Sample {
  source: string
  example: string
}

const hex = (character: string): string => (character.codePointAt(0) ?? 0).toString(16)
const escapeUnits = (character: string): string =>
  Array.from(
    {length: character.length},
    (_, i) => `\\u${character.charCodeAt(i).toString(16).padStart(4, '0')}`,
  ).join('')
const literal = (source: string, example = source): Sample => ({source, example})

const atom: fc.Arbitrary<Sample> = fc.oneof(
  {weight: 6, arbitrary: fc.array(letter, {minLength: 1, maxLength: 4}).map(all => literal(all.join('')))},
  letter.map(one => literal(`\\u{${hex(one)}}`, one)),
  letter.map(one => literal(escapeUnits(one), one)),
  letter.filter(one => hex(one).length <= 2).map(one => literal(`\\x${hex(one).padStart(2, '0')}`, one)),
  fc.tuple(letter, letter).map(([a, b]) => literal(`[${a}${b}\\]|]`.replaceAll('-', '\\-'), b)),
  fc.tuple(letter, letter).map(([a, b]) => literal(`[^${a}{(]`.replaceAll('-', '\\-'), b)),
  fc.constantFrom(
    ...[
      literal('.', '🚀'),
      literal('\\d', '5'),
      literal('\\w', 'k'),
      literal('\\s', ' '),
      literal('\\S', 'ß'),
    ],
    ...[
      literal('\\p{L}', 'ſ'),
      literal('\\P{Lu}', '🚀'),
      literal('\\p{Script=Greek}', 'σ'),
      literal('\\W', 'µ'),
    ],
    ...[
      literal('\\.', '.'),
      literal('\\|', '|'),
      literal('\\(', '('),
      literal('\\\\', '\\'),
      literal('\\/', '/'),
    ],
    ...[literal('\\b', ''), literal('\\B', ''), literal('^', ''), literal('$', ''), literal('\\t?', '')],
  ),
)

const quantifiers = ['', '', '', '?', '*', '+', '??', '+?', '{0,2}', '{1}', '{2}', '{0}', '{1,}?'] as const
const times = (quantifier: string, least: boolean): number => {
  if (quantifier === '{2}') return 2
  if (quantifier === '{0}' || (least && /^[?*]|^\{0/.test(quantifier))) return 0
  return 1
}

const {expression} = fc.letrec<{expression: Sample; term: Sample; group: Sample}>(tie => ({
  group: fc
    .tuple(
      fc.constantFrom('(', '(?:', '(?<name>', '(?=', '(?!', '(?<=', '(?<!'),
      fc.array(tie('expression'), {minLength: 1, maxLength: 2}),
    )
    .map(([opening, inner]) => ({
      source: `${opening}${inner.map(({source}) => source).join('|')})`,
      example: opening.includes('=') || opening.includes('!') ? '' : (inner.at(-1)?.example ?? ''),
    })),
  term: fc
    .tuple(
      fc.oneof({depthSize: 'small', withCrossShrink: true}, atom, tie('group')),
      fc.constantFrom(...quantifiers),
      fc.boolean(),
    )
    .map(([{source, example}, quantifier, least]) => ({
      source: source + quantifier,
      example: example.repeat(times(quantifier, least)),
    })),
  expression: fc
    .tuple(fc.array(tie('term'), {maxLength: 4}), fc.constantFrom('', '', '', '|b'))
    .map(([terms, end]) => ({
      source: terms.map(({source}) => source).join('') + end,
      example: terms.map(({example}) => example).join(''),
    })),
}))

const change = (text: string, how: number): string =>
  [text, text.toUpperCase(), text.toLowerCase(), text.toUpperCase().toLowerCase()][how] ?? text

test('no line that matches is turned away by its signature', () => {
  const around = fc.string({unit: letter, maxLength: 3})
  const pattern = fc.tuple(expression, fc.boolean(), fc.nat(3))
  let matched = 0
  let turnedAway = 0
  fc.assert(
    fc.property(pattern, around, around, ([{source, example}, ignoreCase, how], before, after) => {
      const text = source.normalize('NFC')
      fc.pre(isExpression(text) && text.trim() !== '')
      const line = (before + (ignoreCase ? change(example, how) : example) + after).normalize('NFC')
      for (const regex of [true, false]) {
        const {matches, admitted} = look({text: regex ? text : example || text, regex, ignoreCase}, line)
        if (matches) matched += 1
        if (!admitted) turnedAway += 1
        expect(matches && !admitted).toBe(false)
      }
    }),
    {numRuns: 3000},
  )
  // Neither half says anything where the other never happens.
  expect(matched).toBeGreaterThan(1000)
  expect(turnedAway).toBeGreaterThan(50)
})

function isExpression(source: string): boolean {
  try {
    return new RegExp(source, 'u') !== undefined
  } catch {
    // Of those made by chance some are none: a quantifier after an anchor, two groups of one name.
    return false
  }
}
