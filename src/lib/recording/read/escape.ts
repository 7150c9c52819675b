/**
 * Escape sequences of a terminal's output (ECMA-48, with the parser that DEC terminals and xterm share). What comes
 * in may be cut anywhere; a sequence is handed over only when it is complete, so nothing half-read is ever acted on.
 */
export interface EscapeHandler {
  /** Printable text. */
  text(text: string): void
  /** One C0 control character other than ESC; DEL. */
  control(character: string): void
  /** ESC, intermediates, final: `ESC ( B`. C1 characters come as their seven-bit form. */
  escape(intermediates: string, final: string): void
  /** Prefix is one of `<=>?` or empty; parameters are digits, `;` and `:`. */
  csi(sequence: CsiSequence): void
  /** The end of an OSC, DCS, APC, PM, SOS or title string, whose content is not kept. */
  string(): void
}

export interface CsiSequence {
  prefix: string
  parameters: string
  intermediates: string
  final: string
}

export interface EscapeParser {
  push(text: string): void
}

/** A sequence longer than this is none that a terminal knows; it is dropped. */
const SEQUENCE_CHARACTERS = 256
/** A string without end stops hiding what follows it after this many characters. */
const STRING_CHARACTERS = 1024 * 1024

type State = 'ground' | 'escape' | 'csi' | 'dropped csi' | 'string'

const ESC = 0x1b
const isPlain = (code: number): boolean => (code >= 0x20 && code < 0x7f) || code > 0x9f

export function createEscapeParser(handler: EscapeHandler): EscapeParser {
  let state: State = 'ground'
  let held = ''
  let stringLength = 0
  /** BEL ends an OSC and nothing else. */
  let bellEnds = false

  const go = (next: State): void => {
    state = next
    held = ''
  }

  const beginString = (bell: boolean): void => {
    go('string')
    bellEnds = bell
    stringLength = 0
  }

  const endString = (): void => {
    go('ground')
    handler.string()
  }

  /** ESC and one of 0x40–0x5f, or the C1 character that stands for both. */
  const introduce = (final: string): boolean => {
    if (final === '[') go('csi')
    else if (final === ']') beginString(true)
    else if ('PX^_'.includes(final)) beginString(false)
    else return false
    return true
  }

  const inEscape = (character: string): void => {
    if (character >= ' ' && character <= '/') {
      held += character
      if (held.length > SEQUENCE_CHARACTERS) go('ground')
      return
    }
    const intermediates = held
    if (intermediates === '' && introduce(character)) return
    // screen(1) sets a title with ESC k … ST.
    if (intermediates === '' && character === 'k') return beginString(false)
    go('ground')
    if (character >= '0' && character <= '~') handler.escape(intermediates, character)
    else if (character > '\u009f') handler.text(character)
  }

  const inCsi = (character: string): void => {
    if (character >= '@' && character <= '~') {
      const match = /^([<=>?]?)([0-9;:]*)([ -/]*)$/.exec(held)
      const dropped = state === 'dropped csi'
      go('ground')
      if (match && !dropped)
        handler.csi({
          prefix: match[1] ?? '',
          parameters: match[2] ?? '',
          intermediates: match[3] ?? '',
          final: character,
        })
    } else if (character > '\u009f') {
      go('ground')
      handler.text(character)
    } else if (held.length >= SEQUENCE_CHARACTERS) {
      go('dropped csi')
    } else if (state === 'csi') {
      held += character
    }
  }

  const inString = (code: number): void => {
    stringLength += 1
    if (code === 0x9c || (code === 0x07 && bellEnds) || stringLength > STRING_CHARACTERS) endString()
  }

  /** Control characters act in the middle of sequences as anywhere; some end them. */
  const control = (code: number, character: string): void => {
    if (code === 0x18 || code === 0x1a) return state === 'string' ? endString() : go('ground')
    if (state === 'string') return inString(code)
    if (code === 0x7f && state !== 'ground') return
    handler.control(character)
  }

  const c1 = (code: number): void => {
    if (state === 'string') return inString(code)
    go('ground')
    const final = String.fromCharCode(code - 0x40)
    if (!introduce(final)) handler.escape('', final)
  }

  const step = (code: number, character: string): void => {
    if (code === ESC) {
      if (state === 'string') endString()
      go('escape')
    } else if (code < 0x20 || code === 0x7f) control(code, character)
    else if (code >= 0x80 && code <= 0x9f) c1(code)
    else if (state === 'string') inString(code)
    else if (state === 'escape') inEscape(character)
    else inCsi(character)
  }

  return {
    push(text) {
      for (let at = 0; at < text.length; ) {
        if (state === 'ground' && isPlain(text.charCodeAt(at))) {
          const from = at
          while (at < text.length && isPlain(text.charCodeAt(at))) at += 1
          handler.text(text.slice(from, at))
        } else {
          step(text.charCodeAt(at), text.charAt(at))
          at += 1
        }
      }
    },
  }
}
