import fc from 'fast-check'
import {describe, expect, it} from 'vitest'
import {createTextExtractor} from '../../../../src/lib/recording/export/plain-text.js'

const ESC = '\u001b'
const extract = (text: string) => {
  const extractor = createTextExtractor()
  return extractor.push(text) + extractor.end()
}

describe('plain text of output', () => {
  it.each([
    ['keeps lines', 'one\r\ntwo\r\n', 'one\ntwo\n'],
    ['ends the last line', 'one\r\n$ ', 'one\n$\n'],
    ['drops colours and titles', `${ESC}]0;t\u0007${ESC}[1;31mred${ESC}[0m plain\r\n`, 'red plain\n'],
    ['shows a line as it was corrected', 'rn -rf\b\b\b\b\bm -rf x\r\n', 'rm -rf x\n'],
    ['follows backspace, blank, backspace', 'ls -z\b \b\b \b-l\r\n', 'ls -l\n'],
    ['lets a carriage return write over', '10%\r100%\r\n', '100%\n'],
    ['erases to the end of the line', `long prompt\rls${ESC}[K\r\n`, 'ls\n'],
    [
      'inserts and deletes as line editors do',
      `abd${ESC}[D${ESC}[@c\r\nabXc${ESC}[2D${ESC}[P\r\n`,
      'abcd\nabc\n',
    ],
    ['widens tabs', 'a\tb\r\n', 'a       b\n'],
    [
      'begins a line where the cursor goes to another',
      `top${ESC}[2;1Hnext${ESC}[5;1Hlast`,
      'top\nnext\nlast\n',
    ],
    ['keeps wide and composed characters', '漢字 😀\r\n', '漢字 😀\n'],
    ['keeps blank lines', 'a\r\n\r\nb\r\n', 'a\n\nb\n'],
  ])('%s', (_name, output, text) => {
    expect(extract(output)).toBe(text)
  })

  it('holds no control characters but line breaks, whatever comes', () => {
    fc.assert(
      fc.property(fc.string({unit: 'binary'}), text => {
        // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are the subject.
        expect(extract(text)).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f]/)
      }),
    )
  })

  it('does not grow with a line without end, or with huge movements', () => {
    const extractor = createTextExtractor()
    let longest = 0
    for (let i = 0; i < 100; i += 1)
      for (const line of extractor.push('x'.repeat(1000)).split('\n'))
        longest = Math.max(longest, line.length)
    expect(longest).toBeGreaterThan(0)
    expect(longest).toBeLessThan(20_000)
    expect(extract(`${ESC}[999999999C${ESC}[999999999@x`).length).toBeLessThan(40_000)
  })
})
