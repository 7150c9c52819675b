import fc from 'fast-check'
import {describe, expect, it} from 'vitest'
import {createSanitizer} from '../../../../src/lib/recording/read/sanitize.js'

const ESC = '\u001b'
const clean = (text: string) => createSanitizer().push(text)

/** Pieces that sequences are made of, so that random joins of them are often sequences. */
const fragment = fc.oneof(
  fc.constantFrom(
    ESC,
    `${ESC}[`,
    `${ESC}]`,
    `${ESC}P`,
    `${ESC}_`,
    `${ESC}^`,
    `${ESC}X`,
    `${ESC}k`,
    `${ESC}\\`,
    `${ESC}(`,
    `${ESC}%`,
  ),
  fc.constantFrom('\u0007', '\u0005', '\u0018', '\u001a', '\n', '\r', '\b', '\u007f', '\u000e'),
  fc.constantFrom(...'\u0084\u0085\u008d\u0090\u0098\u009a\u009b\u009c\u009d\u009e\u009f'),
  fc.constantFrom('?', '>', '=', '<', ';', ':', '$', '!', '"', "'", ' ', '*', '#'),
  fc.constantFrom(
    '52;c;aGk=',
    '0;title',
    '1049',
    '2004',
    '1000',
    '2026',
    '3',
    '0',
    '65536',
    '8;50;100',
    '+q544e',
    '$qm',
  ),
  fc.constantFrom(...'hlmJKHABCDcntpqrsuxyzvwZTib'),
  fc.string({unit: 'grapheme', maxLength: 3}),
)
const output = fc.array(fragment, {maxLength: 30}).map(parts => parts.join(''))

/** Everything that may come out: text, harmless controls, and whole sequences of the kinds that draw. */
const allowed =
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are the subject.
  /^(?:[^\u0000-\u001f\u007f-\u009f]|[\u0000-\u0004\u0006-\u0017\u0019\u001c-\u001f\u007f]|\u001b(?:[78DEHMNOno|}~]|#[34568]|[()*+\-./][ -/]?[0-~]|\[\??[0-9;:]*[ -/]*[@-~]))*$/u

describe('what passes unchanged', () => {
  it.each([
    ['text', 'plain, ünï, 漢字, 😀\r\n\t\b\u0007'],
    ['colours', `${ESC}[1;38;5;200m${ESC}[38:2::1:2:3mx${ESC}[0m${ESC}[m`],
    ['cursor movement', `${ESC}[5;10H${ESC}[2A${ESC}[K${ESC}[2J${ESC}[10G${ESC}7${ESC}8${ESC}[s${ESC}[u`],
    ['the alternate screen', `${ESC}[?1049h${ESC}[?25l${ESC}[?25h${ESC}[?1049l`],
    ['scrolling', `${ESC}[2;20r${ESC}[3S${ESC}[3T${ESC}M${ESC}D`],
    ['character sets', `${ESC}(0lqqk${ESC}(B\u000e\u000f`],
    ['insertion and deletion', `${ESC}[4h${ESC}[3@${ESC}[2P${ESC}[4L${ESC}[4l`],
    ['the shape of the cursor', `${ESC}[2 q`],
    ['synchronised output', `${ESC}[?2026h${ESC}[?2026l`],
  ])('%s', (_name, text) => {
    expect(clean(text)).toBe(text)
  })
})

describe('what is left out', () => {
  it.each([
    ['a title', `${ESC}]0;owned\u0007`],
    ['a title, ended by ST', `${ESC}]2;owned${ESC}\\`],
    ['a title of screen', `${ESC}kowned${ESC}\\`],
    ['the clipboard', `${ESC}]52;c;cm0gLXJmIC8=\u0007`],
    ['a hyperlink', `${ESC}]8;;http://evil/\u0007`],
    ['DECRQSS', `${ESC}P$q"p${ESC}\\`],
    ['XTGETTCAP', `${ESC}P+q544e${ESC}\\`],
    ['a sixel', `${ESC}Pq#0;2;0;0;0~${ESC}\\`],
    ['APC', `${ESC}_Gf=100;AAAA${ESC}\\`],
    ['PM', `${ESC}^x${ESC}\\`],
    ['SOS', `${ESC}Xx${ESC}\\`],
    ['OSC of one character', '\u009d52;c;eA==\u009c'],
    ['DCS of one character', '\u0090$qm\u009c'],
    ['CSI of one character that reports', '\u009b6n'],
    ['device attributes', `${ESC}[c${ESC}[0c${ESC}[>c${ESC}[=c${ESC}Z\u009a`],
    ['the version', `${ESC}[>q${ESC}[>0q`],
    ['status reports', `${ESC}[5n${ESC}[6n${ESC}[?6n${ESC}[?996n`],
    ['mode reports', `${ESC}[?2026$p${ESC}[4$p`],
    ['a checksum', `${ESC}[1;1;1;1;10;10*y`],
    ['parameters and presentation reports', `${ESC}[x${ESC}[1$w${ESC}[1$u`],
    ['window operations', `${ESC}[8;50;100t${ESC}[21t${ESC}[18t${ESC}[22;0t`],
    ['ENQ', '\u0005'],
    ['mouse modes', `${ESC}[?9h${ESC}[?1000h${ESC}[?1002h${ESC}[?1003h${ESC}[?1006h${ESC}[1;2;3;4;5T`],
    ['focus, paste and resize reports', `${ESC}[?1004h${ESC}[?2004h${ESC}[?2048h${ESC}[?2031h`],
    [
      'keyboard modes',
      `${ESC}[?1h${ESC}=${ESC}>${ESC}[>4;2m${ESC}[>1u${ESC}[=1u${ESC}[?u${ESC}[2h${ESC}[12h${ESC}[20h${ESC}[?66h`,
    ],
    ['the scroll-back buffer', `${ESC}[3J${ESC}[?3J`],
    ['printing', `${ESC}[5i${ESC}[?5i${ESC}[i`],
    ['lights', `${ESC}[1q`],
    ['the encoding of the terminal', `${ESC}%@${ESC}%G${ESC} G`],
    ['its conformance level and size', `${ESC}[61"p${ESC}[?3h${ESC}[132$|`],
    ['counts that only keep it busy', `${ESC}[999999999b`],
  ])('%s', (_name, text) => {
    expect(clean(`a${text}b`)).toBe('ab')
  })

  it('goes from a list of modes, the others stay', () => {
    expect(clean(`${ESC}[?1049;2004;25h`)).toBe(`${ESC}[?1049;25h`)
  })

  it('makes a full reset one of the screen alone', () => {
    expect(clean(`${ESC}c`)).toBe(`${ESC}[?1049l${ESC}[!p${ESC}[2J${ESC}[H`)
  })

  it('is found in a sequence with controls, in one begun anew, and in an endless one', () => {
    expect(clean(`${ESC}[\n6\rn`)).toBe('\n\r')
    expect(clean(`${ESC}[3${ESC}[6n`)).toBe('')
    expect(clean(`${ESC}]0;a\u0018b`)).toBe('b')
    expect(clean(`${ESC}[${'1'.repeat(1000)}mb`)).toBe('b')
  })

  it('does not hide what follows a string without end for ever', () => {
    const sanitizer = createSanitizer()
    expect(sanitizer.push(`${ESC}]0;${'x'.repeat(500_000)}`)).toBe('')
    expect(sanitizer.push(`${'x'.repeat(600_000)}visible`)).toContain('visible')
  })
})

describe('whatever comes', () => {
  it('only text and whole drawing sequences come out', () => {
    fc.assert(
      fc.property(output, text => {
        expect(clean(text)).toMatch(allowed)
      }),
      {numRuns: 2000},
    )
  })

  it('it makes no difference where the output was cut', () => {
    fc.assert(
      fc.property(output, fc.array(fc.nat({max: 60}), {maxLength: 4}), (text, cuts) => {
        const sanitizer = createSanitizer()
        const at = [0, ...cuts.filter(cut => cut < text.length).sort((a, b) => a - b), text.length]
        const parts = at.slice(1).map((to, i) => sanitizer.push(text.slice(at[i], to)))
        expect(parts.join('')).toBe(clean(text))
      }),
      {numRuns: 1000},
    )
  })

  it('what came out passes unchanged', () => {
    fc.assert(
      fc.property(output, text => {
        expect(clean(clean(text))).toBe(clean(text))
      }),
      {numRuns: 1000},
    )
  })

  it('text without control characters is never touched', () => {
    fc.assert(
      fc.property(fc.string({unit: 'grapheme'}), text => {
        // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are the subject.
        const plain = text.replace(/[\u0000-\u001f\u007f-\u009f]/g, '')
        expect(clean(plain)).toBe(plain)
      }),
    )
  })
})

describe('restoring the terminal', () => {
  const restore = (text: string) => {
    const sanitizer = createSanitizer()
    sanitizer.push(text)
    return sanitizer.restore()
  }

  it('does nothing where nothing was left on', () => {
    expect(restore('plain\r\n')).toBe('')
    expect(restore(`${ESC}[?1049h${ESC}[?25lvim${ESC}[?25h${ESC}[?1049l`)).toBe('')
  })

  it('undoes what was: last on, first off', () => {
    expect(restore(`${ESC}[?1049h${ESC}[?25l`)).toBe(`${ESC}[?25h${ESC}[?1049l`)
    expect(restore(`${ESC}[?7l${ESC}[31m${ESC}[5 q${ESC}[4h${ESC}(0\u000e`)).toBe(
      `${ESC}[?7h${ESC}[0m${ESC}[0 q${ESC}[4l${ESC}(B\u000f`,
    )
    expect(restore(`${ESC}[2;5r`)).toBe(`${ESC}7${ESC}[r${ESC}8`)
  })
})
