import type {Terminal} from '@xterm/headless'

// The state of an emulated terminal as output that brings any terminal into it: what is on the screen, and everything
// that decides how later output is drawn. Left out are tab stops, character sets other than line drawing, which character a
// repetition would repeat, and what is left of a wide character when something else is put into half of it.

const ESC = '\u001b'
const CSI = `${ESC}[`

/** From any state, also from within a sequence, to an empty normal screen. */
const clearScreen = `\u0018${CSI}?1049l${CSI}!p${CSI}?7h${CSI}0m\u000f${ESC}(B${CSI}r${CSI}2J${CSI}H`

/** Gives a terminal back that has shown a session. */
export const leaveScreen = `\u0018${CSI}?1049l${CSI}!p${CSI}?7h${CSI}?25h${CSI}0m\u000f${ESC}(B`

type Screen = Terminal['buffer']['normal']
type Cell = NonNullable<ReturnType<NonNullable<ReturnType<Screen['getLine']>>['getCell']>>

/** What cells have in common with the attributes that the next character will get. */
type Attributes = Pick<
  Cell,
  | 'isBold'
  | 'isDim'
  | 'isItalic'
  | 'isUnderline'
  | 'isBlink'
  | 'isInverse'
  | 'isInvisible'
  | 'isStrikethrough'
  | 'isOverline'
  | 'isFgRGB'
  | 'isBgRGB'
  | 'isFgPalette'
  | 'isBgPalette'
  | 'getFgColor'
  | 'getBgColor'
  | 'getFgColorMode'
  | 'getBgColorMode'
>

/** Parts of xterm.js that its API does not show; the version is pinned, and tests notice when they are others. */
interface Internals {
  _core: {
    coreService: {isCursorHidden: boolean}
    _charsetService: {glevel: number; charset: Charset | undefined; _charsets: (Charset | undefined)[]}
    _inputHandler: {_curAttrData: Attributes}
    _bufferService: {buffers: {normal: HiddenBuffer; alt: HiddenBuffer}}
  }
}

type Charset = Record<string, string>

interface HiddenBuffer {
  scrollTop: number
  scrollBottom: number
  savedX: number
  /** Counts from the first line of the scroll-back; there is none. */
  savedY: number
  savedCurAttrData: Attributes
  savedCharset: Charset | undefined
}

/** Paints what is on the terminal, which keeps no scroll-back. */
export function paint(terminal: Terminal): string {
  const {coreService, _charsetService: charsets, _inputHandler: input, _bufferService} = internals(terminal)
  const {normal, alt} = _bufferService.buffers
  const {buffer, modes} = terminal
  const alternate = buffer.active.type === 'alternate'
  const active = alternate ? alt : normal
  const at = (x: number, y: number): string => `${CSI}${y + 1};${x + 1}H`
  const saved = ({savedX, savedY, savedCurAttrData: attributes, savedCharset}: HiddenBuffer): string =>
    at(Math.min(savedX, terminal.cols - 1), savedY) +
    sgr(attributes) +
    (isLineDrawing(savedCharset) ? `${ESC}(0` : '')
  const margins = ({scrollTop, scrollBottom}: HiddenBuffer): string =>
    scrollTop !== 0 || scrollBottom !== terminal.rows - 1 ? `${CSI}${scrollTop + 1};${scrollBottom + 1}r` : ''
  // Some terminals have margins of each screen, others the same for both.
  const hidden = alternate ? margins(normal) : ''
  return [
    clearScreen,
    rows(terminal, buffer.normal),
    hidden,
    saved(normal),
    alternate
      ? `${CSI}?1049h${hidden && `${CSI}r`}${CSI}0m${ESC}(B${CSI}2J${rows(terminal, buffer.alternate)}${saved(alt)}${ESC}7`
      : `${ESC}7`,
    `${ESC}(B`,
    margins(active),
    modes.originMode ? `${CSI}?6h` : '',
    cursor(terminal, modes.originMode ? active.scrollTop : 0),
    sgr(input._curAttrData),
    isLineDrawing(charsets.glevel === 0 ? charsets.charset : charsets._charsets[0]) ? `${ESC}(0` : '',
    isLineDrawing(charsets._charsets[1]) ? `${ESC})0` : '',
    charsets.glevel === 1 ? '\u000e' : '',
    modes.insertMode ? `${CSI}4h` : '',
    modes.wraparoundMode ? '' : `${CSI}?7l`,
    coreService.isCursorHidden ? `${CSI}?25l` : '',
  ].join('')
}

const internals = (terminal: Terminal): Internals['_core'] => (terminal as unknown as Internals)._core

const isLineDrawing = (charset: Charset | undefined): boolean => charset?.q === '─'

function rows({cols, rows: count}: Terminal, screen: Screen): string {
  let text = ''
  let attributes = ''
  const put = (cell: Cell): void => {
    const wanted = sgr(cell)
    if (wanted !== attributes) text += wanted
    attributes = wanted
    text += cell.getChars() || ' '
  }
  for (let y = 0; y < count; y++) {
    const line = screen.getLine(screen.baseY + y)
    if (!line) continue
    const goesOn = screen.getLine(screen.baseY + y + 1)?.isWrapped === true && y + 1 < count
    // What wraps is written through, so that it is one line to the terminal too.
    if (!line.isWrapped || y === 0) text += `${CSI}${y + 1};1H`
    const cells = Array.from({length: cols}, (_, x) => line.getCell(x)).filter(cell => cell !== undefined)
    const last = goesOn ? cells.length - 1 : cells.findLastIndex(cell => !isBlank(cell))
    for (const cell of cells.slice(0, last + 1)) if (cell.getWidth() > 0) put(cell)
  }
  return text + (attributes === '' ? '' : `${CSI}0m`)
}

const isBlank = (cell: Cell): boolean =>
  cell.getWidth() > 0 && (cell.getChars() === '' || cell.getChars() === ' ') && sgr(cell) === plain

/** Behind the last column a terminal waits with the next line until there is more to write. */
function cursor({cols, buffer: {active}}: Terminal, origin: number): string {
  const y = active.cursorY - origin
  if (active.cursorX < cols) return `${CSI}${y + 1};${active.cursorX + 1}H`
  const line = active.getLine(active.baseY + active.cursorY)
  const x = line?.getCell(cols - 1)?.getWidth() === 0 ? cols - 2 : cols - 1
  const cell = line?.getCell(x)
  return `${CSI}${y + 1};${x + 1}H${cell ? sgr(cell) + (cell.getChars() || ' ') : ''}`
}

const plain = `${CSI}0m`

function sgr(attributes: Attributes): string {
  const words: (number | string)[] = [0]
  if (attributes.isBold()) words.push(1)
  if (attributes.isDim()) words.push(2)
  if (attributes.isItalic()) words.push(3)
  if (attributes.isUnderline()) words.push(4)
  if (attributes.isBlink()) words.push(5)
  if (attributes.isInverse()) words.push(7)
  if (attributes.isInvisible()) words.push(8)
  if (attributes.isStrikethrough()) words.push(9)
  if (attributes.isOverline()) words.push(53)
  if (attributes.isFgRGB()) words.push(`38;2;${rgb(attributes.getFgColor())}`)
  else if (attributes.isFgPalette())
    words.push(palette(30, attributes.getFgColor(), attributes.getFgColorMode()))
  if (attributes.isBgRGB()) words.push(`48;2;${rgb(attributes.getBgColor())}`)
  else if (attributes.isBgPalette())
    words.push(palette(40, attributes.getBgColor(), attributes.getBgColorMode()))
  return `${CSI}${words.join(';')}m`
}

/** xterm.js tells a colour of the first sixteen from the same one of 256, which bold text does not brighten. */
const sixteenColours = 1 << 24

function palette(base: 30 | 40, colour: number, mode: number): string {
  if (mode !== sixteenColours) return `${base + 8};5;${colour}`
  return String(colour < 8 ? base + colour : base + 60 + colour - 8)
}

const rgb = (colour: number): string => `${colour >> 16};${(colour >> 8) & 255};${colour & 255}`
