import fc from 'fast-check'
import {describe, expect, test} from 'vitest'
import {displayWidth, safe, safeLines, truncate} from '../../../src/lib/cli/text.js'

const anyText = fc.string({unit: 'binary', maxLength: 60})

describe('text from outside', () => {
  test('escape sequences, line breaks and bidirectional controls become visible', () => {
    expect(safe('a\u001b]52;c;x\u0007b')).toBe('a\\x1b]52;c;x\\x07b')
    expect(safe('one\ntwo\r\u009b2J')).toBe('one\\x0atwo\\x0d\\x9b2J')
    expect(safe('user\u202egnp.exe')).toBe('user\\u202egnp.exe')
    expect(safe('naïve 日本 🎉')).toBe('naïve 日本 🎉')
  })

  test('no control character survives, whatever comes in', () => {
    fc.assert(fc.property(anyText, text => !/\p{Cc}/u.test(safe(text))))
    fc.assert(fc.property(anyText, text => !/\p{Cc}/u.test(safeLines(text, false).replace(/[\n\t]/g, ''))))
  })

  test('of all sequences only colours pass, and only where colour is wanted', () => {
    const text = '\u001b[31mred\u001b[0m\n\u001b[2J\u001b]0;title\u0007'
    expect(safeLines(text, true)).toBe('\u001b[31mred\u001b[0m\n\\x1b[2J\\x1b]0;title\\x07')
    expect(safeLines(text, false)).toBe('red\n\\x1b[2J\\x1b]0;title\\x07')
  })
})

describe('width in cells', () => {
  test('wide characters take two cells and combining marks none', () => {
    expect(displayWidth('abc')).toBe(3)
    expect(displayWidth('日本')).toBe(4)
    expect(displayWidth('e\u0301')).toBe(1)
  })

  test('a cut text never exceeds its cells and says that it was cut', () => {
    expect(truncate('production', 6)).toBe('produ…')
    expect(truncate('日本語日本', 4)).toBe('日…')
    expect(truncate('short', 6)).toBe('short')
    fc.assert(
      fc.property(fc.string({unit: 'grapheme'}), fc.integer({min: 1, max: 20}), (text, cells) => {
        expect(displayWidth(truncate(text, cells))).toBeLessThanOrEqual(cells)
      }),
    )
  })
})
